// An application that signs people in with passport-openidconnect, which knows no PKCE.
const express = require('express')
const session = require('express-session')
const passport = require('passport')
const OpenIDConnectStrategy = require('passport-openidconnect')

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT } = process.env
const app = express()

passport.use(
  new OpenIDConnectStrategy(
    {
      issuer: ISSUER,
      authorizationURL: `${ISSUER}/oauth/authorize`,
      tokenURL: `${ISSUER}/oauth/token`,
      userInfoURL: `${ISSUER}/oauth/userinfo`,
      clientID: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      callbackURL: `http://127.0.0.1:${PORT}/callback`,
      scope: ['profile', 'email'],
    },
    (issuer, profile, done) => done(null, { issuer, ...profile }),
  ),
)
passport.serializeUser((user, done) => done(null, user))
passport.deserializeUser((user, done) => done(null, user))

app.use(session({ secret: 'of this test', resave: false, saveUninitialized: false }))
app.use(passport.session())
app.get('/login', passport.authenticate('openidconnect'))
app.get('/callback', passport.authenticate('openidconnect', { successRedirect: '/', failureRedirect: '/failed' }))
app.get('/failed', (request, response) => response.status(403).json(request.session.messages ?? null))
app.get('/', (request, response) => (request.user ? response.json(request.user) : response.redirect('/login')))
app.listen(PORT, '127.0.0.1', () => process.stdout.write('listening\n'))

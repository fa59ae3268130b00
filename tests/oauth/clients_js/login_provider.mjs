// A provider that people sign in with: npm oidc-provider with its own login and consent pages.
// PORT is its own, REDIRECT_URI that of the one client.
import Provider from 'oidc-provider'

const { PORT, REDIRECT_URI, CLIENT_SECRET } = process.env

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  cookies: { keys: ['of this test'] },
  clients: [{ client_id: 'gateway', client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI] }],
  conformIdTokenClaims: true,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username', 'groups'] },
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: `${id} of the provider`,
      preferred_username: id,
      email: `${id}@example.com`,
      email_verified: true,
      groups: ['staff'],
    }),
  }),
})
provider.listen(PORT, '127.0.0.1')

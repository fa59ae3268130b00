// Plays relying parties with openid-client: `node openid_client.mjs FLOW`. The first line of standard input holds the
// settings; the result is the last line of standard output. A line {"browse": URL} asks for a person, and the next line
// of input tells where the browser was sent.
import { createInterface } from 'node:readline'
import * as client from 'openid-client'

const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (document) => process.stdout.write(`${JSON.stringify(document)}\n`)
const settings = JSON.parse((await input.next()).value)

async function browse(url) {
  say({ browse: String(url) })
  return new URL(JSON.parse((await input.next()).value))
}

// The issuer of a test has no certificate. That signatures are checked all the same is openid-client's other option.
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks]

async function privateKey() {
  const { jwk } = settings
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
  return { key: await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign']), kid: jwk.kid }
}

async function discovered() {
  const methods = {
    client_secret_basic: () => client.ClientSecretBasic(settings.secret),
    client_secret_post: () => client.ClientSecretPost(settings.secret),
    none: () => client.None(),
    private_key_jwt: async () => client.PrivateKeyJwt(await privateKey()),
  }
  const metadata = { id_token_signed_response_alg: settings.algorithm }
  const authentication = await methods[settings.auth_method]()
  return client.discovery(new URL(settings.issuer), settings.client_id, metadata, authentication, { execute })
}

async function asked(config, { pushed = false, ...more } = {}) {
  const checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(),
    expectedState: client.randomState(),
    expectedNonce: client.randomNonce(),
    idTokenExpected: true,
  }
  const parameters = {
    redirect_uri: settings.redirect_uri,
    scope: settings.scope,
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...more,
  }
  const build = pushed ? client.buildAuthorizationUrlWithPAR : client.buildAuthorizationUrl
  return { url: await build(config, parameters), checks }
}

async function signedIn(config, options) {
  const { url, checks } = await asked(config, options)
  const tokens = await client.authorizationCodeGrant(config, await browse(url), checks)
  return { url, tokens, claims: tokens.claims() }
}

async function refusal(promise) {
  try {
    await promise
  } catch (error) {
    return error.error ?? error.code ?? String(error)
  }
  return null
}

const flows = {
  async code() {
    const config = await discovered()
    const { tokens, claims } = await signedIn(config)
    const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub)
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token)
    const again = await client.fetchUserInfo(config, refreshed.access_token, claims.sub)
    return { claims, userinfo, again, scope: tokens.scope, refreshed: refreshed.claims() ?? null }
  },

  async denied() {
    const config = await discovered()
    return { error: await refusal(signedIn(config)) }
  },

  async step_up() {
    const config = await discovered()
    const first = await signedIn(config)
    const second = await signedIn(config, { prompt: 'login', max_age: '0' })
    return { first: first.claims, second: second.claims }
  },

  async revocation() {
    const config = await discovered()
    const { tokens } = await signedIn(config)
    const before = await client.tokenIntrospection(config, tokens.access_token)
    await client.tokenRevocation(config, tokens.refresh_token, { token_type_hint: 'refresh_token' })
    return {
      before,
      after: await client.tokenIntrospection(config, tokens.access_token),
      refresh: await refusal(client.refreshTokenGrant(config, tokens.refresh_token)),
      userinfo: await refusal(client.fetchUserInfo(config, tokens.access_token, client.skipSubjectCheck)),
    }
  },

  async client_credentials() {
    const config = await discovered()
    const parameters = { scope: settings.scope, ...(settings.resource && { resource: settings.resource }) }
    const tokens = await client.clientCredentialsGrant(config, parameters)
    return { tokens, token: await client.tokenIntrospection(config, tokens.access_token) }
  },

  async device() {
    const config = await discovered()
    const started = await client.initiateDeviceAuthorization(config, { scope: settings.scope })
    await browse(started.verification_uri_complete)
    // The first time may be soon: nobody waits five seconds for a test.
    const tokens = await client.pollDeviceAuthorizationGrant(config, { ...started, interval: 1 })
    return { started, claims: tokens.claims(), refresh: Boolean(tokens.refresh_token) }
  },

  async pushed() {
    const config = await discovered()
    const { url, claims } = await signedIn(config, { pushed: true })
    return { names: [...url.searchParams.keys()].sort(), claims }
  },

  async logout() {
    const config = await discovered()
    const { tokens } = await signedIn(config)
    const state = client.randomState()
    const back = await browse(
      client.buildEndSessionUrl(config, {
        id_token_hint: tokens.id_token,
        post_logout_redirect_uri: settings.post_logout_redirect_uri,
        state,
      }),
    )
    return {
      back: `${back.origin}${back.pathname}`,
      same_state: back.searchParams.get('state') === state,
      refresh: await refusal(client.refreshTokenGrant(config, tokens.refresh_token)),
    }
  },

  async registration() {
    const metadata = {
      client_name: 'Registered by itself',
      redirect_uris: [settings.redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'client_secret_post',
    }
    const options = { execute, initialAccessToken: settings.initial_access_token }
    const issuer = new URL(settings.issuer)
    const config = await client.dynamicClientRegistration(issuer, metadata, client.ClientSecretPost(), options)
    const { claims } = await signedIn(config)
    return { client: config.clientMetadata(), claims }
  },
}

try {
  say({ result: await flows[process.argv[2]]() })
} catch (error) {
  const cause = error.cause instanceof Error ? String(error.cause) : JSON.stringify(error.cause)
  say({ failure: `${error.stack}\ncause: ${cause}` })
}
process.exit()

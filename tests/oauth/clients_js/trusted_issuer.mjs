// Another issuer: npm oidc-provider with JWT and opaque access tokens of ann, introspection and revocation.
// PORT is its own; at MINT_PORT it hands out a token for the resource that the path names.
import { createServer } from 'node:http'
import { generateKeyPair, exportJWK } from 'jose'
import Provider from 'oidc-provider'

const { PORT, MINT_PORT, CLIENT_SECRET } = process.env
const FORMATS = { 'urn:wiki': 'jwt', 'urn:opaque': 'opaque' }

const { privateKey } = await generateKeyPair('ES256', { extractable: true })
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  jwks: { keys: [{ ...(await exportJWK(privateKey)), use: 'sig', alg: 'ES256' }] },
  cookies: { keys: ['of this test'] },
  clients: [
    {
      client_id: 'gateway',
      client_secret: CLIENT_SECRET,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: 'ES256',
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:wiki',
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        scope: 'read',
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: FORMATS[resource],
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  extraTokenClaims: () => ({ groups: ['staff'] }),
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
})

async function accessToken(resource) {
  const client = await provider.Client.find('gateway')
  const grant = new provider.Grant({ accountId: 'ann', clientId: client.clientId })
  grant.addResourceScope(resource, 'read')
  const token = new provider.AccessToken({
    client,
    accountId: 'ann',
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: 'read',
    extra: { groups: ['staff'] },
  })
  token.resourceServer = new provider.ResourceServer(resource, {
    scope: 'read',
    audience: resource,
    accessTokenTTL: 600,
    accessTokenFormat: FORMATS[resource],
    jwt: { sign: { alg: 'ES256' } },
  })
  return token.save()
}

createServer(async (request, response) => {
  response.end(await accessToken(decodeURIComponent(request.url.slice(1))))
}).listen(MINT_PORT, '127.0.0.1')
provider.listen(PORT, '127.0.0.1')

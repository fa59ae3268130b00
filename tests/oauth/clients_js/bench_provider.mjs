// Another provider for the benchmark: npm oidc-provider as one would run it, with JWT access tokens by ES256.
// PORT is its own; at MINT_PORT it hands out fresh refresh tokens. With DATABASE it keeps its state in PostgreSQL.
import { createServer } from 'node:http'
import { generateKeyPair, exportJWK } from 'jose'
import Provider from 'oidc-provider'
import pg from 'pg'

const { PORT, MINT_PORT, CLIENT_SECRET, DATABASE } = process.env
const RESOURCE = 'https://api.example.com'
const pool = DATABASE ? new pg.Pool({ ...JSON.parse(DATABASE), max: 4 }) : null

// As the adapters that oidc-provider's documentation shows: one table, a row for each thing, its content as JSON.
class PostgresAdapter {
  constructor(kind) {
    this.kind = kind
  }

  async upsert(id, payload, seconds) {
    await pool.query({
      name: 'upsert',
      text: `insert into oidc_payload values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
        on conflict (kind, id) do update set payload = excluded.payload, expires_at = excluded.expires_at`,
      values: [this.kind, id, payload, payload.grantId, payload.uid, payload.userCode, seconds ?? 86400],
    })
  }

  async #by(column, value) {
    const { rows } = await pool.query({
      name: `by ${column}`,
      text: `select payload, consumed_at from oidc_payload where kind = $1 and ${column} = $2 and expires_at > now()`,
      values: [this.kind, value],
    })
    return rows[0] && { ...rows[0].payload, ...(rows[0].consumed_at && { consumed: true }) }
  }

  find(id) {
    return this.#by('id', id)
  }

  findByUid(uid) {
    return this.#by('uid', uid)
  }

  findByUserCode(code) {
    return this.#by('user_code', code)
  }

  async consume(id) {
    const text = 'update oidc_payload set consumed_at = now() where kind = $1 and id = $2'
    await pool.query({ name: 'consume', text, values: [this.kind, id] })
  }

  async destroy(id) {
    const text = 'delete from oidc_payload where kind = $1 and id = $2'
    await pool.query({ name: 'destroy', text, values: [this.kind, id] })
  }

  async revokeByGrantId(id) {
    await pool.query({ name: 'revoke', text: 'delete from oidc_payload where grant_id = $1', values: [id] })
  }
}

if (pool) {
  await pool.query(`create table oidc_payload (kind text, id text, payload jsonb not null, grant_id text, uid text,
    user_code text, expires_at timestamptz, consumed_at timestamptz, primary key (kind, id))`)
  await pool.query('create index on oidc_payload (grant_id)')
}

const { privateKey } = await generateKeyPair('ES256', { extractable: true })
const own = { client_secret: CLIENT_SECRET, id_token_signed_response_alg: 'ES256' }
const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  adapter: pool ? PostgresAdapter : undefined,
  jwks: { keys: [{ ...(await exportJWK(privateKey)), use: 'sig', alg: 'ES256' }] },
  cookies: { keys: ['of this benchmark'] },
  clients: [
    { ...own, client_id: 'program', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    {
      ...own,
      client_id: 'app',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['https://app.example.com/callback'],
    },
  ],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'reports',
        audience: RESOURCE,
        accessTokenTTL: 900,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  rotateRefreshToken: true,
  ttl: { IdToken: 900, RefreshToken: 30 * 86400, Grant: 30 * 86400, ClientCredentials: 900 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
})

async function refreshToken() {
  const client = await provider.Client.find('app')
  const grant = new provider.Grant({ accountId: 'ann', clientId: client.clientId })
  grant.addOIDCScope('openid offline_access')
  grant.addResourceScope(RESOURCE, 'reports')
  const token = new provider.RefreshToken({
    client,
    accountId: 'ann',
    grantId: await grant.save(),
    gty: 'authorization_code',
    scope: 'openid offline_access reports',
    resource: RESOURCE,
    authTime: Math.floor(Date.now() / 1000),
    claims: {},
  })
  return token.save()
}

createServer(async (request, response) => {
  const tokens = []
  for (let left = Number(request.url.slice(1)); left > 0; left -= 1) tokens.push(await refreshToken())
  response.end(`${tokens.join('\n')}\n`)
}).listen(MINT_PORT, '127.0.0.1')
provider.listen(PORT, '127.0.0.1')

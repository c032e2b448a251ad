// Who signed this, and when? Standard Webhooks. n8n needs NODE_FUNCTION_ALLOW_BUILTIN=crypto and SMARTERBOT_SIGNING_SECRET.
const crypto = require('crypto');
const headers = $input.first().json.headers;
const body = await this.helpers.getBinaryDataBuffer(0, 'data');
const id = headers['webhook-id'] ?? '';
const at = headers['webhook-timestamp'] ?? '';
const fresh = /^[0-9]{1,12}$/.test(at) && Math.abs(Date.now() / 1000 - Number(at)) <= 300;
const signed = Buffer.concat([Buffer.from(`${id}.${at}.`), body]);
const given = (headers['webhook-signature'] ?? '').split(' ').map((entry) => Buffer.from(entry));
const secrets = ($env.SMARTERBOT_SIGNING_SECRET ?? '').split('|').map((secret) => secret.trim()).filter(Boolean);
const genuine = fresh && id !== '' && secrets.some((secret) => {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const expected = Buffer.from(`v1,${crypto.createHmac('sha256', key).update(signed).digest('base64')}`);
  return key.length >= 24 && given.some((entry) => entry.length === expected.length && crypto.timingSafeEqual(entry, expected));
});
let event = {};
try {
  event = genuine ? JSON.parse(body.toString('utf8')) : {};
} catch {
  event = {};
}
return [{ json: { genuine, id, type: event.type ?? '', data: event.data ?? {} } }];

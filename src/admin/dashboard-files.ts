import express from 'express';

/** Nothing from elsewhere, nothing inline; what a server says of itself can't become code or load anything. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const notBuilt = 'The dashboard is not built. Run `npm run build`, or use /api/v1/services.\n';

/**
 * The dashboard's files. They are the same for everybody and hold no secret, so they need no token; what they show
 * comes from the API, which does.
 * @param folder where `vite build` put them; undefined where it did not
 */
export function dashboardFiles(folder: string | undefined): express.Router {
  const router = express.Router();
  router.use((_request, response, next) => {
    response.set({
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    });
    next();
  });
  if (folder === undefined) {
    router.get('/', (_request, response) => void response.status(404).type('text/plain').send(notBuilt));
    return router;
  }
  // File names bear a hash of what is in them.
  router.use('/assets', express.static(`${folder}/assets`, { maxAge: '1y', immutable: true, index: false }));
  router.get('/', (_request, response) => {
    response.sendFile('index.html', { root: folder, cacheControl: false });
  });
  return router;
}

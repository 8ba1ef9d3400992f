import { timingSafeEqual } from 'node:crypto';
import express, { type NextFunction, type Request, type Response } from 'express';

/** What the admin plane shows; main hands it in. All of it is JSON. */
export interface AdminPorts {
  readonly version: string;
  readonly ready: () => { readonly ready: boolean; readonly body: Readonly<Record<string, unknown>> };
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly catalog: () => unknown;
  readonly services: () => unknown;
  /** Undefined for a service that nobody knows. */
  readonly service: (name: string) => unknown;
  readonly sessions: () => unknown;
  readonly explain: (query: string) => Promise<unknown>;
  /** Of a session id, which is a credential: it comes in a header, where no log keeps it. */
  readonly explainSession: (id: string) => unknown;
}

export interface AdminOptions {
  /** Bearer token for all but the health checks; undefined on loopback. */
  readonly token: string | undefined;
}

/** URIs may be long. */
const MAX_NAME = 4096;

/** Health, metrics and the API that the commands read. */
export function adminApp(ports: AdminPorts, options: AdminOptions): express.Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.use((_request, response, next) => {
    response.set({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
    next();
  });

  app.get('/healthz', (_request, response) => {
    response.json({ status: 'ok', version: ports.version });
  });
  app.get('/readyz', (_request, response) => {
    const { ready, body } = ports.ready();
    response.status(ready ? 200 : 503).json(body);
  });

  if (options.token !== undefined) app.use(requireToken(options.token));

  app.get('/metrics', async (_request, response) => {
    const page = await ports.metrics();
    response.type(page.contentType).send(page.text);
  });
  app.get('/api/v1/catalog', (_request, response) => {
    response.json(ports.catalog());
  });
  app.get('/api/v1/services', (_request, response) => {
    response.json(ports.services());
  });
  app.get('/api/v1/services/:name', (request, response) => {
    const service = ports.service(request.params.name);
    if (service === undefined) {
      const message = `No service ${request.params.name} is known. GET /api/v1/services lists them all.`;
      response.status(404).json({ error: { code: 'NOT_FOUND', message } });
      return;
    }
    response.json(service);
  });
  app.get('/api/v1/sessions', (_request, response) => {
    response.json(ports.sessions());
  });

  app.get('/api/v1/explain', (request, response, next) => {
    const session = request.get('mcp-session-id');
    const { name } = request.query;
    if (session !== undefined) response.json(ports.explainSession(session));
    else if (typeof name === 'string' && name !== '' && name.length <= MAX_NAME) {
      ports.explain(name).then((explanation) => response.json(explanation), next);
    } else {
      const message = `Say what is to be explained: ?name=TOOL, or a header Mcp-Session-Id; up to ${MAX_NAME} characters.`;
      response.status(400).json({ error: { code: 'INVALID_REQUEST', message } });
    }
  });

  app.use((_request, response) => {
    const message = 'Nothing is served here. Try /api/v1/services, /metrics or /readyz.';
    response.status(404).json({ error: { code: 'NOT_FOUND', message } });
  });
  // Express tells an error handler by its four parameters.
  app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    if (response.headersSent) return;
    response
      .status(400)
      .json({ error: { code: 'INVALID_REQUEST', message: 'The request could not be read.' } });
  });
  return app;
}

function requireToken(token: string): express.RequestHandler {
  const expected = Buffer.from(`Bearer ${token}`);
  return (request, response, next) => {
    const given = Buffer.from(request.headers.authorization ?? '');
    if (given.length === expected.length && timingSafeEqual(given, expected)) {
      next();
      return;
    }
    response
      .status(401)
      .set('www-authenticate', 'Bearer realm="mcp-consul-router admin"')
      .json({
        error: {
          code: 'UNAUTHENTICATED',
          message: 'Send the admin token (MCP_ROUTER_ADMIN_TOKEN) as a bearer token.',
        },
      });
  };
}

import { timingSafeEqual } from 'node:crypto';
import compression from 'compression';
import express, { type NextFunction, type Request, type Response } from 'express';
import { RouterError } from '../errors.ts';
import { guardAgainstPages, type GuardRules } from './browser-guard.ts';
import { isKind } from './catalog-entries.ts';
import { dashboardFiles } from './dashboard-files.ts';
import type { EventStreams } from './event-stream.ts';
import type {
  CallRecord,
  EntriesBody,
  ItemBody,
  ItemKindName,
  SessionBody,
  TimelineEntry,
} from './shapes.ts';
import { answerTry, readTryRequest, type CallTool } from './try-tool.ts';

/** What the admin plane shows; main hands it in. All of it is JSON. */
export interface AdminPorts {
  readonly version: string;
  readonly ready: () => { readonly ready: boolean; readonly body: Readonly<Record<string, unknown>> };
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
  readonly catalog: () => unknown;
  readonly entries: (only: ReadonlySet<string> | undefined) => EntriesBody;
  readonly item: (kind: ItemKindName, name: string) => ItemBody | undefined;
  readonly services: () => unknown;
  /** Undefined for a service that nobody knows. */
  readonly service: (name: string) => unknown;
  readonly sessions: () => { readonly sessions: readonly SessionBody[] };
  readonly calls: () => readonly CallRecord[];
  readonly timeline: () => readonly TimelineEntry[];
  readonly events: Pick<EventStreams, 'serve'>;
  readonly callTool: CallTool;
  readonly explain: (query: string) => Promise<unknown>;
  /** Of a session id, which is a credential: it comes in a header, where no log keeps it. */
  readonly explainSession: (id: string) => unknown;
}

export interface AdminOptions {
  /** Bearer token for all but the health checks and the dashboard's files; undefined on loopback. */
  readonly token: string | undefined;
  readonly guard: GuardRules;
  /** Where the built dashboard is; undefined where it is not. */
  readonly dashboard: string | undefined;
}

/** URIs may be long. */
const MAX_NAME = 4096;
/** Arguments of a tool that is tried out. */
const MAX_BODY = '1mb';

/** Health, metrics, the dashboard, and the API that it and the commands read. */
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

  app.use((request, _response, next) => {
    guardAgainstPages(request, options.guard);
    next();
  });
  app.use(compression());
  app.use(dashboardFiles(options.dashboard));
  if (options.token !== undefined) app.use(requireToken(options.token));

  app.get('/metrics', async (_request, response) => {
    const page = await ports.metrics();
    response.type(page.contentType).send(page.text);
  });
  app.use('/api/v1', apiRoutes(ports));

  app.use((_request, _response, next) => {
    next(notFound('Nothing is served here. Try /, /api/v1/services, /metrics or /readyz.'));
  });
  // Express tells an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const known =
      error instanceof RouterError
        ? error
        : new RouterError('INVALID_REQUEST', 'The request could not be read: is its body JSON?');
    const status = known.code === 'INVALID_PARAMS' ? 400 : known.httpStatus();
    response.status(status).json({ error: { code: known.code, message: known.message, ...known.details } });
  });
  return app;
}

function apiRoutes(ports: AdminPorts): express.Router {
  const api = express.Router();
  api.get('/catalog', (_request, response) => {
    response.json(ports.catalog());
  });
  api.get('/catalog/entries', (request, response) => {
    const { service } = request.query;
    const only = service === undefined ? undefined : new Set([service].flat().map(String));
    response.json(ports.entries(only));
  });
  api.get('/catalog/item', (request, response) => {
    const { kind = 'tools', name } = request.query;
    if (!isKind(kind) || typeof name !== 'string') {
      throw new RouterError(
        'INVALID_PARAMS',
        'Say what is asked for: ?kind=tools|prompts|resources|resourceTemplates&name=….',
      );
    }
    const item = ports.item(kind, name);
    if (!item)
      throw notFound(`The catalog has no such thing. GET /api/v1/catalog/entries lists all there is.`);
    response.json(item);
  });
  api.get('/services', (_request, response) => {
    response.json(ports.services());
  });
  api.get('/services/:name', (request, response) => {
    const service = ports.service(request.params.name);
    if (service === undefined) {
      throw notFound(`No service ${request.params.name} is known. GET /api/v1/services lists them all.`);
    }
    response.json(service);
  });
  api.get('/sessions', (_request, response) => {
    response.json(ports.sessions());
  });
  api.get('/calls', (_request, response) => {
    response.json({ calls: ports.calls() });
  });
  api.get('/timeline', (_request, response) => {
    response.json({ entries: ports.timeline() });
  });
  api.get('/events', (request, response) => {
    ports.events.serve(request, response);
  });
  api.post('/try', express.json({ limit: MAX_BODY, strict: true }), (request, response) => {
    answerTry(ports.callTool, readTryRequest(request.body), response);
  });
  api.get('/explain', (request, response, next) => {
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
  return api;
}

function notFound(message: string): RouterError {
  return new RouterError('NOT_FOUND', message);
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

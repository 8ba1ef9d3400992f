import { useEffect, useState } from 'preact/hooks';
import type { SessionBody } from '../../shapes.ts';
import { href } from '../live/place.ts';
import { status } from '../live/state.ts';
import { Badge, Empty } from '../parts/bits.tsx';
import { useAnswer } from '../parts/use-answer.ts';
import { shortId, span } from '../parts/words.ts';

const REFRESH_MS = 2000;
const MAX_SHOWN = 200;

/** Client sessions of the session era; stateless clients have none and are seen in the requests. */
export function Sessions() {
  const [tick, setTick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTick((times) => times + 1), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  const { body, trouble } = useAnswer<{ sessions: readonly SessionBody[] }>(
    'sessions',
    `${tick} ${status.value?.sessions ?? 0}`,
  );
  const sessions = body?.sessions ?? [];
  return (
    <>
      <h1>Sessions</h1>
      {trouble !== undefined && <p class="why">{trouble}</p>}
      {body && sessions.length === 0 && (
        <Empty title="No client has a session">
          <p>
            A session begins when a client of MCP up to 2025-11-25 connects. Clients of 2026-07-28 need none.{' '}
            <a href={href('connect')}>Connect a client</a>.
          </p>
        </Empty>
      )}
      {sessions.length > 0 && (
        <div class="wide" tabIndex={0} role="region" aria-label="Sessions">
          <table>
            <thead>
              <tr>
                <th scope="col">Client</th>
                <th scope="col">Endpoint</th>
                <th scope="col">Revision</th>
                <th scope="col">Now</th>
                <th scope="col">Sessions at backends</th>
              </tr>
            </thead>
            <tbody>
              {sessions.slice(0, MAX_SHOWN).map((session, at) => (
                <Row key={at} session={session} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {sessions.length > MAX_SHOWN && (
        <p class="quiet">and {sessions.length - MAX_SHOWN} more; /api/v1/sessions lists all.</p>
      )}
    </>
  );
}

function Row({ session }: { readonly session: SessionBody }) {
  const { client, path, protocolVersion, running, stream, idleMs, backends } = session;
  const said = [client['title'] ?? client['name'], client['version']].filter(
    (word) => typeof word === 'string',
  );
  return (
    <tr>
      <th scope="row">{said.join(' ') || 'unknown'}</th>
      <td>{path}</td>
      <td>{protocolVersion}</td>
      <td>
        <Badge tone={running > 0 ? 'good' : 'plain'}>
          {running > 0 ? `${running} under way` : `idle ${span(idleMs)}`}
        </Badge>
        {stream && ' listens'}
      </td>
      <td>
        {Object.entries(backends)
          .map(([service, instance]) => `${service}: ${shortId(instance)}`)
          .join(', ') || '—'}
      </td>
    </tr>
  );
}

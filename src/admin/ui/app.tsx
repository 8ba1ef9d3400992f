import type { ComponentType } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { locked } from './live/access.ts';
import { href, place } from './live/place.ts';
import { ThemeChoice } from './parts/theme.tsx';
import { StatusLine } from './parts/status-line.tsx';
import { Catalog } from './views/catalog.tsx';
import { Connect } from './views/connect.tsx';
import { Requests } from './views/requests.tsx';
import { Services } from './views/services.tsx';
import { Sessions } from './views/sessions.tsx';
import { Timeline } from './views/timeline.tsx';
import { Unlock } from './views/unlock.tsx';

interface View {
  readonly path: string;
  readonly title: string;
  readonly view: ComponentType;
}

const views: readonly [View, ...View[]] = [
  { path: 'services', title: 'Services', view: Services },
  { path: 'catalog', title: 'Catalog', view: Catalog },
  { path: 'requests', title: 'Requests', view: Requests },
  { path: 'sessions', title: 'Sessions', view: Sessions },
  { path: 'timeline', title: 'Timeline', view: Timeline },
  { path: 'connect', title: 'Connect a client', view: Connect },
];

export function App() {
  const { parts } = place.value;
  const current = views.find((view) => view.path === parts[0]) ?? views[0];
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    document.title = `${[...parts.slice(1).toReversed(), current.title].join(' · ')} · mcp-consul-router`;
  }, [parts, current]);
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to content
      </button>
      <header>
        <p class="brand">mcp-consul-router</p>
        <StatusLine />
        <ThemeChoice />
      </header>
      <nav aria-label="Views">
        <ul>
          {views.map(({ path, title }) => (
            <li key={path}>
              <a href={href(path)} aria-current={current.path === path ? 'page' : undefined}>
                {title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main ref={main} tabIndex={-1}>
        {locked.value ? <Unlock /> : <current.view />}
      </main>
    </>
  );
}

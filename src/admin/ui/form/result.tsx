import { Badge, Snippet } from '../parts/bits.tsx';
import { isSchema, type Schema } from './schema.ts';
import type { Outcome } from './try-call.ts';

const MAX_SHOWN = 200_000;

/** What a tool answered: its text and pictures as such, the rest as JSON. */
export function Result({ outcome }: { readonly outcome: Exclude<Outcome, { kind: 'asks' }> }) {
  if (outcome.kind === 'error') {
    return (
      <div>
        <p>
          <Badge tone="bad">failed</Badge> {outcome.message}
        </p>
        {outcome.error !== null && (
          <Snippet label="Error" text={cut(JSON.stringify(outcome.error, null, 2))} />
        )}
      </div>
    );
  }
  const { result } = outcome;
  const failed = result['isError'] === true;
  const content = Array.isArray(result['content']) ? (result['content'] as unknown[]) : [];
  return (
    <div>
      <p>
        <Badge tone={failed ? 'warn' : 'good'}>{failed ? 'the tool says it failed' : 'ok'}</Badge>
      </p>
      {content.filter(isSchema).map((part, at) => (
        <Part key={at} part={part} />
      ))}
      <details>
        <summary>The whole result as JSON</summary>
        <Snippet label="Result" text={cut(JSON.stringify(result, null, 2))} />
      </details>
    </div>
  );
}

function Part({ part }: { readonly part: Schema }) {
  const { type, text, data, mimeType } = part;
  if (type === 'text' && typeof text === 'string') return <Snippet label="Text" text={cut(text)} />;
  if (type === 'image' && typeof data === 'string' && isPicture(mimeType)) {
    return <img class="picture" alt="What the tool answered" src={`data:${mimeType};base64,${data}`} />;
  }
  return <p class="quiet">{typeof type === 'string' ? type : 'something else'} (see the JSON)</p>;
}

function isPicture(type: unknown): type is string {
  return typeof type === 'string' && /^image\/(?:png|jpeg|gif|webp)$/.test(type);
}

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n… ${text.length - MAX_SHOWN} more` : text;
}

import { useMemo, useRef, useState } from 'preact/hooks';
import type { ItemBody, TryRequest } from '../../shapes.ts';
import { ms } from '../parts/words.ts';
import { Fields } from './fields.tsx';
import { Result } from './result.tsx';
import { isSchema, presetTexts, propertiesOf, readForm, type Schema } from './schema.ts';
import { tryCall, type Outcome, type Question } from './try-call.ts';

interface Run {
  readonly notes: readonly string[];
  readonly outcome?: Outcome;
  readonly tookMs?: number;
}

/** A form made of a tool's schema; calling it goes the way of every client's call. */
export function TryTool({ tool }: { readonly tool: ItemBody }) {
  const given = tool.definition['inputSchema'];
  const [run, setRun] = useState<Run | undefined>(undefined);
  const last = useRef<TryRequest>(undefined);
  const calling = useRef<AbortController>(undefined);
  const running = run !== undefined && run.outcome === undefined;

  const call = async (request: TryRequest): Promise<void> => {
    last.current = request;
    const mine = new AbortController();
    calling.current = mine;
    const begun = performance.now();
    setRun({ notes: [] });
    const note = (text: string): void =>
      setRun((now) => ({ ...now, notes: [...(now?.notes ?? []), text].slice(-50) }));
    const outcome = await tryCall(request, note, mine.signal).catch((error: unknown): Outcome => ({
      kind: 'error',
      message: mine.signal.aborted ? 'Cancelled.' : error instanceof Error ? error.message : String(error),
      error: null,
    }));
    setRun((now) => ({ notes: now?.notes ?? [], outcome, tookMs: performance.now() - begun }));
  };

  return (
    <section aria-labelledby="try">
      <h2 id="try">Try it</h2>
      <p class="quiet">
        A real call, at a real instance, as an MCP client would make it. It may change things.
      </p>
      <SchemaForm
        schema={isSchema(given) ? given : {}}
        submit={running ? 'Calling …' : 'Call'}
        disabled={running}
        onSubmit={(value) => void call({ name: tool.name, arguments: value })}
      />
      {running && (
        <button type="button" onClick={() => calling.current?.abort()}>
          Cancel
        </button>
      )}
      <div aria-live="polite">
        {run?.notes.map((text, at) => (
          <p class="quiet" key={at}>
            {text}
          </p>
        ))}
        {run?.outcome && run.outcome.kind !== 'asks' && (
          <>
            <p class="quiet">Took {ms(run.tookMs ?? null)}, the way to the dashboard included.</p>
            <Result outcome={run.outcome} />
          </>
        )}
      </div>
      {run?.outcome?.kind === 'asks' && (
        <Questions
          asked={run.outcome}
          onAnswer={(inputResponses, requestState) => {
            if (last.current) {
              const { name, arguments: args } = last.current;
              void call({
                name,
                arguments: args,
                inputResponses,
                ...(requestState !== undefined && { requestState }),
              });
            }
          }}
        />
      )}
    </section>
  );
}

interface QuestionsProps {
  readonly asked: Extract<Outcome, { kind: 'asks' }>;
  readonly onAnswer: (responses: Record<string, unknown>, state: string | undefined) => void;
}

/** What the server asks, one after the other; all answers go back together. */
function Questions({ asked, onAnswer }: QuestionsProps) {
  const [answers, setAnswers] = useState<Readonly<Record<string, unknown>>>({});
  const open: Question | undefined = asked.questions.find(({ key }) => !(key in answers));
  const answer = (key: string, value: unknown): void => {
    const next = { ...answers, [key]: value };
    if (asked.questions.every((question) => question.key in next)) onAnswer(next, asked.state);
    else setAnswers(next);
  };
  if (!open) return null;
  return (
    <section class="card" aria-label="The server asks">
      <p>{open.message}</p>
      <SchemaForm
        key={open.key}
        schema={open.schema}
        submit="Answer"
        disabled={false}
        onSubmit={(content) => answer(open.key, { action: 'accept', content })}
      />
      <button type="button" onClick={() => answer(open.key, { action: 'decline' })}>
        Decline
      </button>
    </section>
  );
}

interface SchemaFormProps {
  readonly schema: Schema;
  readonly submit: string;
  readonly disabled: boolean;
  readonly onSubmit: (value: Readonly<Record<string, unknown>>) => void;
}

function SchemaForm({ schema, submit, disabled, onSubmit }: SchemaFormProps) {
  const text = JSON.stringify(schema);
  const properties = useMemo(() => propertiesOf(JSON.parse(text) as Schema), [text]);
  const [texts, setTexts] = useState<ReadonlyMap<string, string>>(() => presetTexts(properties));
  const [wrong, setWrong] = useState<{ path: string; message: string } | undefined>(undefined);
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const read = readForm(properties, texts);
        setWrong(read.kind === 'wrong' ? read : undefined);
        if (read.kind === 'filled') onSubmit(read.value);
      }}
    >
      {properties.length === 0 && <p class="quiet">It takes no arguments.</p>}
      <Fields
        properties={properties}
        texts={texts}
        wrong={wrong}
        onChange={(path, value) => setTexts((now) => new Map(now).set(path, value))}
      />
      {wrong && (
        <p class="why" role="alert">
          {wrong.message}
        </p>
      )}
      <button type="submit" class="primary" disabled={disabled}>
        {submit}
      </button>
    </form>
  );
}

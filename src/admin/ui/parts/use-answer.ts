import { useEffect, useState } from 'preact/hooks';
import { askJson } from '../live/access.ts';

export interface Answered<Body> {
  readonly body?: Body;
  /** Why there is none, or no newer one. */
  readonly trouble?: string;
}

/**
 * What the API answers at `path`, asked again whenever `when` is another value. The answer before stays until the
 * next is there.
 */
export function useAnswer<Body>(path: string, when: unknown): Answered<Body> {
  const [answered, setAnswered] = useState<Answered<Body> & { readonly path?: string }>({});
  useEffect(() => {
    const gone = new AbortController();
    askJson<Body>(path, { signal: gone.signal }).then(
      (body) => setAnswered({ path, body }),
      (error: unknown) => {
        if (gone.signal.aborted) return;
        const trouble = error instanceof Error ? error.message : String(error);
        setAnswered((before) => (before.path === path ? { ...before, trouble } : { path, trouble }));
      },
    );
    return () => gone.abort();
  }, [path, when]);
  return answered.path === path ? answered : {};
}

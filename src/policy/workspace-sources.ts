import type { Source } from './document.ts';
import type { WorkspaceGrant } from './profiles/schema.ts';
import type { DocumentSource } from './watched-file.ts';

/** Where the document of a workspace is; undefined where there is no such place. */
export type SourceOfWorkspace = (name: string, file: string | undefined) => DocumentSource | undefined;

interface Watched {
  readonly file: string | undefined;
  readonly stop: () => void;
}

/** Reads the documents of those workspaces that the policy grants, and follows what it grants. */
export class WorkspaceSources {
  readonly #sourceOf: SourceOfWorkspace;
  readonly #onText: (workspace: string, source: Source | undefined) => void;
  readonly #watched = new Map<string, Watched>();

  constructor(sourceOf: SourceOfWorkspace, onText: (workspace: string, source: Source | undefined) => void) {
    this.#sourceOf = sourceOf;
    this.#onText = onText;
  }

  follow(grants: Readonly<Record<string, WorkspaceGrant>>): void {
    for (const [name, watched] of this.#watched) {
      const grant = grants[name];
      if (grant && grant.file === watched.file) continue;
      this.#watched.delete(name);
      watched.stop();
    }
    for (const [name, { file }] of Object.entries(grants)) {
      const source = this.#watched.has(name) ? undefined : this.#sourceOf(name, file);
      if (!source) continue;
      // Entered first: what is read at once makes the policy change, and this be called again.
      let end: (() => void) | undefined;
      this.#watched.set(name, { file, stop: () => end?.() });
      end = source.watch((text) => this.#onText(name, text));
    }
  }
}

import type { ScopeHierarchy } from '../rules/scopes.ts';
import { Profile, type Workspace } from './profile.ts';
import type { ProfileDefinition, WorkspaceDocument, WorkspaceGrant } from './schema.ts';

export interface ProfileSources {
  readonly profiles: Readonly<Record<string, ProfileDefinition>>;
  readonly workspaces: Readonly<Record<string, WorkspaceGrant>>;
  readonly scopes: ScopeHierarchy;
  /** What teams say, by workspace. */
  readonly documents: ReadonlyMap<string, WorkspaceDocument>;
}

interface Known {
  readonly key: string;
  readonly profile: Profile;
}

/**
 * All profiles by name; those of workspaces are `<workspace>.<profile>`. One that is defined as before stays the same
 * object, and with it all that was made of it.
 */
export class Profiles {
  readonly byName: ReadonlyMap<string, Profile>;
  readonly #known: ReadonlyMap<string, Known>;

  constructor(sources: ProfileSources, before?: Profiles) {
    const { profiles, workspaces, documents, scopes } = sources;
    const known = new Map<string, Known>();
    const earlier = before && before.#known;
    const add = (name: string, definition: ProfileDefinition, workspace?: Workspace): void => {
      // Conditions are written out by their source.
      const key = JSON.stringify([definition, scopes, workspace?.grant, workspace?.document.rules]);
      const old = earlier?.get(name);
      known.set(
        name,
        old?.key === key ? old : { key, profile: new Profile(name, definition, scopes, workspace) },
      );
    };
    for (const [name, definition] of Object.entries(profiles)) add(name, definition);
    for (const [name, grant] of Object.entries(workspaces)) {
      const document = documents.get(name);
      if (!document) continue;
      for (const [own, definition] of Object.entries(document.profiles)) {
        add(`${name}.${own}`, definition, { name, grant, document });
      }
    }
    this.#known = known;
    this.byName = new Map(Array.from(known, ([name, { profile }]) => [name, profile]));
  }
}

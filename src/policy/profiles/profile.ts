import type { Catalog, Identity, RoutingTable, ServiceName } from '../../model.ts';
import { targetOf } from '../rules/identity-class.ts';
import type { Target } from '../rules/objects.ts';
import { Policy } from '../rules/policy.ts';
import { compileRules } from '../rules/rule-set.ts';
import type { Rule } from '../rules/schema.ts';
import type { ScopeHierarchy } from '../rules/scopes.ts';
import { ProfileCatalogs } from './profile-catalog.ts';
import type { ProfileDefinition, ToolModeName, WorkspaceDocument, WorkspaceGrant } from './schema.ts';
import { selectionTest, type Contains, type Tags } from './selection.ts';

/** The workspace that a profile is of. */
export interface Workspace {
  readonly name: string;
  readonly grant: WorkspaceGrant;
  readonly document: WorkspaceDocument;
}

export type TagsOf = (table: RoutingTable, service: ServiceName) => Tags;

/** A named part of the catalog with an endpoint of its own. */
export class Profile {
  readonly name: string;
  readonly instructions: string | undefined;
  /** Which public spelling is listed; undefined: as the router does. */
  readonly names: 'portable' | 'dotted' | undefined;
  readonly toolMode: ToolModeName | undefined;
  /** All of these have to allow, besides the rules for all. */
  readonly policies: readonly Policy[];
  readonly #tests: readonly Contains[];
  readonly #excluded: Contains;
  readonly #catalogs: ProfileCatalogs;
  readonly #made = new WeakMap<RoutingTable, Catalog>();

  constructor(
    name: string,
    definition: ProfileDefinition,
    scopes: ScopeHierarchy,
    workspace: Workspace | undefined,
  ) {
    const { include, exclude, names, rename, rules, instructions, tools } = definition;
    this.name = name;
    this.instructions = instructions;
    this.names = names === 'bare' ? undefined : names;
    this.toolMode = tools;
    this.#tests = [selectionTest(include), selectionTest(workspace?.grant.include)];
    this.#excluded = exclude === undefined ? () => false : selectionTest(exclude);
    this.#catalogs = new ProfileCatalogs({
      rename: new Map(Object.entries(rename)),
      bare: names === 'bare',
    });
    this.policies = [
      ...(workspace ? [granted(workspace)] : []),
      ...[workspace?.document.rules, rules].flatMap((own, at) =>
        own === undefined ? [] : [named(own, at === 0 ? `workspace ${workspace?.name}` : `profile ${name}`)],
      ),
    ].map((own) => new Policy(compileRules(own, scopes), 'closed'));
  }

  contains(target: Target, tags: Tags): boolean {
    return this.#tests.every((test) => test(target, tags)) && !this.#excluded(target, tags);
  }

  /** The whole profile at one moment, whoever may see it. */
  catalog(table: RoutingTable, tagsOf: TagsOf): Catalog {
    let made = this.#made.get(table);
    if (!made) {
      made = this.#catalogs.make(table.catalog, (kind, entry) =>
        this.contains(targetOf(kind, entry, this.name), tagsOf(table, entry.service)),
      );
      this.#made.set(table, made);
    }
    return made;
  }

  mayUse(identity: Identity): boolean {
    return this.policies.every((policy) => policy.mayUse(identity, this.name));
  }
}

/** The operator's word on who a team is. */
function granted({ name, grant }: Workspace): readonly Rule[] {
  return [{ name: `workspace ${name}`, effect: 'allow', who: grant.who }];
}

/** A decision names its rule, and says whose it is. */
function named(rules: readonly Rule[], whose: string): readonly Rule[] {
  return rules.map((rule) => ({ ...rule, name: `${whose}: ${rule.name}` }));
}

import type { Log } from '../model.ts';
import { describeMisfit, type Misfit, type Source } from './document.ts';
import { readPolicy, readWorkspace, type PolicyDocument } from './policy-document.ts';
import type { Profile } from './profiles/profile.ts';
import { Profiles } from './profiles/profiles.ts';
import type { WorkspaceDocument } from './profiles/schema.ts';
import { Policy } from './rules/policy.ts';
import { compileRules } from './rules/rule-set.ts';

/** What is in force: one frozen value, replaced as a whole. */
export interface InForce {
  readonly policy: Policy;
  readonly document: PolicyDocument;
  /** By name; those of workspaces are `<workspace>.<profile>`. */
  readonly profiles: ReadonlyMap<string, Profile>;
  /** What was read to make it; undefined before anything was. */
  readonly place: string | undefined;
}

export interface CurrentPolicyOptions {
  /** Nothing is allowed until a document was read: it is known to exist. */
  readonly required: boolean;
  /** Nothing is allowed until it is known whether there is a document. */
  readonly awaited?: boolean;
  /** Callers prove who they are: then rules that cannot be read are missed. */
  readonly proofs?: boolean;
  readonly onChange: (now: InForce, before: InForce) => void;
  readonly log: Log;
}

const nothing: PolicyDocument = { mode: 'enforce', scopes: {}, rules: [], profiles: {}, workspaces: {} };
const closed: PolicyDocument = {
  ...nothing,
  rules: [{ name: 'nothing is allowed before the policy was read', effect: 'deny' }],
};

/**
 * The policy that decides now. A wrong document changes nothing: the one before stays, and every error is reported
 * with its place.
 */
export class CurrentPolicy {
  readonly #options: CurrentPolicyOptions;
  #document: PolicyDocument;
  #place: string | undefined;
  #workspaces: ReadonlyMap<string, WorkspaceDocument> = new Map();
  #profiles: Profiles | undefined;
  #inForce: InForce;
  #text: string | undefined;
  #refused: readonly Misfit[] = [];
  #unreadable = false;

  constructor(options: CurrentPolicyOptions) {
    this.#options = options;
    this.#document = options.required || options.awaited ? closed : nothing;
    this.#inForce = this.#makeReady();
  }

  get inForce(): InForce {
    return this.#inForce;
  }

  /** What was wrong with the last document; empty while the last one is in force. */
  get refused(): readonly Misfit[] {
    return this.#refused;
  }

  /** @returns whether the document is in force now. */
  load(source: Source): boolean {
    if (source.text === this.#text) return true;
    const read = readPolicy(source);
    if (read.kind === 'wrong') {
      this.#refused = read.misfits;
      this.#options.log.error('the policy is wrong and changes nothing; the one before stays', {
        place: source.place,
        errors: read.misfits.map(describeMisfit),
      });
      return false;
    }
    this.#text = source.text;
    this.#refused = [];
    this.#document = read.value;
    this.#place = source.place;
    const granted = Object.keys(read.value.workspaces);
    this.#workspaces = new Map([...this.#workspaces].filter(([name]) => granted.includes(name)));
    this.#change('policy in force', source.place);
    return true;
  }

  /**
   * The source has no document. Rules that were in force stay: a lost key must not open the doors. `rules: []`
   * says that there shall be none.
   */
  missing(place: string): void {
    const { log, required } = this.#options;
    if (this.#place !== undefined) {
      if (this.#inForce.policy.open) return;
      log.warn('the policy is gone from its place; the rules before stay. Write "rules: []" to end them', {
        place,
      });
      return;
    }
    this.#unreadable = false;
    if (required || this.#document === nothing) return;
    this.#document = nothing;
    this.#change('there is no policy: whoever is let in may do all', place);
  }

  /** It is not known yet what is allowed. */
  get waiting(): boolean {
    return this.#document === closed && !this.#unreadable;
  }

  /**
   * Whoever keeps the document does not let the router read it. What is in force stays. Before anything is: where callers prove who they are, there may well be
   * rules for them, so nothing is allowed until they can be read; where nobody does, there is nothing to be about.
   */
  unreadable(place: string): void {
    if (!this.waiting) return;
    this.#unreadable = true;
    const { log, required, proofs } = this.#options;
    if (!required && proofs !== true) {
      this.#document = nothing;
      this.#change('the policy may not be read, and is taken for none', place);
      return;
    }
    log.error(
      'the policy may not be read, so nothing is allowed. Let the token read the key, or set MCP_ROUTER_POLICY_FILE',
      { place },
    );
  }

  /** What a team says of its workspace; undefined where it says nothing any more. */
  loadWorkspace(name: string, source: Source | undefined): void {
    const { log } = this.#options;
    if (!source) {
      if (!this.#workspaces.has(name)) return;
      this.#workspaces = new Map([...this.#workspaces].filter(([other]) => other !== name));
      this.#change('a workspace is gone, and its profiles', name);
      return;
    }
    const read = readWorkspace(source);
    if (read.kind === 'wrong') {
      log.error('a workspace is wrong and changes nothing; what it was before stays', {
        workspace: name,
        place: source.place,
        errors: read.misfits.map(describeMisfit),
      });
      return;
    }
    this.#workspaces = new Map([...this.#workspaces, [name, read.value]]);
    this.#change('workspace in force', source.place);
  }

  #change(message: string, place: string): void {
    const before = this.#inForce;
    this.#inForce = this.#makeReady();
    this.#options.log.info(message, {
      place,
      rules: this.#document.rules.length,
      mode: this.#document.mode,
      profiles: this.#inForce.profiles.size,
    });
    this.#options.onChange(this.#inForce, before);
  }

  #makeReady(): InForce {
    const { rules, scopes, profiles, workspaces } = this.#document;
    this.#profiles = new Profiles(
      { profiles, workspaces, scopes, documents: this.#workspaces },
      this.#profiles,
    );
    return {
      policy: new Policy(compileRules(rules, scopes)),
      document: this.#document,
      profiles: this.#profiles.byName,
      place: this.#place,
    };
  }
}

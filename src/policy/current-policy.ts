import type { Log } from '../model.ts';
import { describeMisfit, type Misfit, type Source } from './document.ts';
import { readPolicy, type PolicyDocument } from './policy-document.ts';
import { Policy } from './rules/policy.ts';
import { compileRules } from './rules/rule-set.ts';

/** What is in force: one frozen value, replaced as a whole. */
export interface InForce {
  readonly policy: Policy;
  readonly document: PolicyDocument;
  /** What was read to make it; undefined before anything was. */
  readonly place: string | undefined;
}

export interface CurrentPolicyOptions {
  /** Nothing is allowed until a document was read. For sources that are known to exist. */
  readonly required: boolean;
  readonly onChange: (now: InForce, before: InForce) => void;
  readonly log: Log;
}

const nothing: PolicyDocument = { mode: 'enforce', scopes: {}, rules: [] };
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
  #inForce: InForce;
  #text: string | undefined;
  #refused: readonly Misfit[] = [];

  constructor(options: CurrentPolicyOptions) {
    this.#options = options;
    this.#inForce = makeReady(options.required ? closed : nothing, undefined);
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
    const before = this.#inForce;
    this.#text = source.text;
    this.#refused = [];
    this.#inForce = makeReady(read.value, source.place);
    this.#options.log.info('policy in force', {
      place: source.place,
      rules: read.value.rules.length,
      mode: read.value.mode,
    });
    this.#options.onChange(this.#inForce, before);
    return true;
  }

  /**
   * The source has no document. Rules that were in force stay: a lost key must not open the doors. `rules: []`
   * says that there shall be none.
   */
  missing(place: string): void {
    if (this.#inForce.policy.open) return;
    this.#options.log.warn(
      'the policy is gone from its place; the rules before stay. Write "rules: []" to end them',
      {
        place,
      },
    );
  }
}

function makeReady(document: PolicyDocument, place: string | undefined): InForce {
  return { policy: new Policy(compileRules(document.rules, document.scopes)), document, place };
}

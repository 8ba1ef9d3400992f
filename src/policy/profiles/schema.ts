import { z } from 'zod';
import { objectSchema, oneOrMore, rulesSchema, subjectSchema, words } from '../rules/schema.ts';

/**
 * Profiles as people write them: named parts of the catalog, each an endpoint of its own
 * (`/profiles/<name>/mcp`), with its own names, way of showing tools, and rules.
 */

/** What a profile is made of: fields beside each other must all hold, entries of a list are alternatives. */
export const selectionSchema = objectSchema.omit({ profiles: true }).extend({
  /** Consul tags, of which the service bears one at least. */ tags: words('a Consul tag').optional(),
});

const selections = oneOrMore(selectionSchema);

/** What all clients take as a name of a tool. */
const publicName = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 of letters, digits, _ and -');

const profileName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'must be 1 to 64 of lower-case letters, digits, _ and -');

export const toolModes = ['full', 'filtered', 'search', 'auto'] as const;
export type ToolModeName = (typeof toolModes)[number];

export const profileSchema = z.strictObject({
  /** What a model reads first: what this is for. */
  instructions: z.string().max(16_000).optional(),
  /** Left out: everything. */
  include: selections.optional(),
  exclude: selections.optional(),
  /** `bare`: as the service spells them, where that is clear. */
  names: z.enum(['portable', 'dotted', 'bare'], 'must be portable, dotted or bare').optional(),
  /** Canonical name of a tool or prompt → its name here. */
  rename: z
    .record(z.string().min(1), publicName)
    .refine((names) => new Set(Object.values(names)).size === Object.keys(names).length, {
      message: 'gives one name to two things',
    })
    .default({}),
  /** How tools are shown where the client does not say. */
  tools: z.enum(toolModes, `must be one of ${toolModes.join(', ')}`).optional(),
  /** Have to allow, besides the rules for all. Left out: they add nothing. */
  rules: rulesSchema.optional(),
});

const MAX_PROFILES = 1000;

export const profilesSchema = z
  .record(profileName, profileSchema)
  .refine((profiles) => Object.keys(profiles).length <= MAX_PROFILES, {
    message: `must be ${MAX_PROFILES} at most`,
  })
  .default({});

/** What an operator grants to a team: who it is, and what its profiles can be made of. */
export const workspaceSchema = z.strictObject({
  who: oneOrMore(subjectSchema),
  include: selections.optional(),
  /** Where the team keeps its document. Left out: `mcp-router/workspaces/<name>` in Consul KV. */
  file: z.string().min(1).optional(),
});

export const workspacesSchema = z
  .record(profileName, workspaceSchema)
  .refine((workspaces) => Object.keys(workspaces).length <= MAX_PROFILES, {
    message: `must be ${MAX_PROFILES} at most`,
  })
  .default({});

/** What a team says of its own workspace. It can only narrow what the operator grants. */
export const workspaceDocumentSchema = z.strictObject({
  profiles: profilesSchema,
  rules: rulesSchema.optional(),
});

export type Selection = z.output<typeof selectionSchema>;
export type ProfileDefinition = z.output<typeof profileSchema>;
export type WorkspaceGrant = z.output<typeof workspaceSchema>;
export type WorkspaceDocument = z.output<typeof workspaceDocumentSchema>;

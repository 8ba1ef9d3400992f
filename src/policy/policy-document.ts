import { z } from 'zod';
import { readDocument, type ReadDocument, type Source } from './document.ts';
import {
  profilesSchema,
  workspaceDocumentSchema,
  workspacesSchema,
  type WorkspaceDocument,
} from './profiles/schema.ts';
import { rulesSchema, scopeHierarchySchema } from './rules/schema.ts';

/** Everything that `mcp-router/policy` or the policy file may say. */
export const policySchema = z.strictObject({
  /** `dry-run`: nothing is refused, what would be is logged. */
  mode: z.enum(['enforce', 'dry-run'], 'must be enforce or dry-run').default('enforce'),
  /** Broader scopes and what they stand for. */
  scopes: scopeHierarchySchema.default({}),
  rules: rulesSchema.default([]),
  /** Parts of the catalog with an endpoint of their own. */
  profiles: profilesSchema,
  /** Teams that define profiles themselves, within what is granted here. */
  workspaces: workspacesSchema,
});

export type PolicyDocument = z.output<typeof policySchema>;

/** @returns all errors at once, each with its place. */
export function readPolicy(source: Source): ReadDocument<PolicyDocument> {
  return readDocument(policySchema, source);
}

/** What a team says of its workspace. @returns all errors at once, each with its place. */
export function readWorkspace(source: Source): ReadDocument<WorkspaceDocument> {
  return readDocument(workspaceDocumentSchema, source);
}

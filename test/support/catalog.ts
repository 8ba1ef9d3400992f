import type {
  CanonicalName,
  CatalogItem,
  CatalogService,
  PublicName,
  ServiceName,
  Tool,
} from '../../src/model.ts';
import { definition } from './model.ts';

/** A service of the catalog with these tools and nothing else. */
export function catalogService(name: string, tools: readonly Tool[]): CatalogService {
  const entry = (item: Tool): CatalogItem<Tool> => ({
    service: name as ServiceName,
    item,
    canonical: `${name}.${item.key}` as CanonicalName,
    portable: `${name}__${item.key}` as PublicName,
  });
  return {
    name: name as ServiceName,
    namespace: name,
    definition: definition(tools),
    tools: tools.map(entry),
    prompts: [],
    resources: [],
    resourceTemplates: [],
    rewritesUris: false,
  };
}

import { Command } from 'commander';
import { addAdminOptions, askAdmin } from './admin-client.ts';
import { table } from './table.ts';

interface CatalogView {
  readonly tools: readonly Entry[];
  readonly prompts: readonly Entry[];
}
interface Entry {
  readonly name: string;
  readonly canonical: string;
  readonly service: string;
  readonly definition: { readonly description?: string };
}

const WIDTH = 70;

export function listCommand(): Command {
  const command = new Command('list').description('The catalog of a running router, as a table.');
  return addAdminOptions(command).action(async () => {
    const catalog = (await askAdmin(command, '/api/v1/catalog')) as CatalogView;
    if (command.getOptionValue('json')) {
      console.log(JSON.stringify(catalog, null, 2));
      return;
    }
    const rows = [...catalog.tools.map(row('tool')), ...catalog.prompts.map(row('prompt'))];
    if (rows.length === 0) {
      console.log(
        'Nothing is served yet. Register a service with the tag "mcp" in Consul, or wrap a server with `run`.',
      );
      return;
    }
    console.log(table(['kind', 'name', 'canonical', 'service', 'description'], rows));
  });
}

function row(kind: string): (entry: Entry) => readonly string[] {
  return ({ name, canonical, service, definition }) => {
    const line = (definition.description ?? '').replaceAll(/\s+/g, ' ').trim();
    return [kind, name, canonical, service, line.length > WIDTH ? `${line.slice(0, WIDTH - 1)}…` : line];
  };
}

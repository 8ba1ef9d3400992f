import packageJson from '../package.json' with { type: 'json' };

export const name: string = packageJson.name;
export const version: string = packageJson.version;

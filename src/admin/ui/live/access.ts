import { signal } from '@preact/signals';

const KEY = 'mcp-router-admin-token';

/** The admin token, for as long as the tab is open; null where none was needed so far. */
const token = signal(sessionStorage.getItem(KEY));

/** The router asks for a token, and the one at hand (if any) is not it. */
export const locked = signal(false);

export function unlock(given: string): void {
  sessionStorage.setItem(KEY, given);
  token.value = given;
  locked.value = false;
}

/** What the API says of a request that it does not take. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }
}

/**
 * Asks the admin API.
 * @throws {ApiError} where it refuses, with its sentence
 */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token.value !== null) headers.set('authorization', `Bearer ${token.value}`);
  const response = await fetch(`api/v1/${path}`, { ...init, headers });
  if (response.ok) return response;
  if (response.status === 401) locked.value = true;
  const body: unknown = await response.json().catch(() => undefined);
  const message = (body as { error?: { message?: string } } | undefined)?.error?.message;
  throw new ApiError(response.status, message ?? `The router answered HTTP ${response.status}.`);
}

/** @throws {ApiError} */
export async function askJson<Body>(path: string, init: RequestInit = {}): Promise<Body> {
  const response = await ask(path, init);
  return (await response.json()) as Body;
}

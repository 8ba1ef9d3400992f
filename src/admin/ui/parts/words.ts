/** Numbers and times as people read them. */

export function ms(duration: number | null): string {
  if (duration === null) return '—';
  if (duration < 10 && !Number.isInteger(duration)) return `${duration.toFixed(1)} ms`;
  if (duration < 10_000) return `${Math.round(duration)} ms`;
  return `${(duration / 1000).toFixed(1)} s`;
}

/** As long as somebody would say it. */
export function span(duration: number): string {
  const seconds = Math.round(duration / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const calendar = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full' });

export function timeOf(at: number): string {
  return clock.format(at);
}

export function dayOf(at: number): string {
  return calendar.format(at);
}

/** Consul's service id out of an instance's id. */
export function shortId(instance: string): string {
  return decodeURIComponent(instance.split('/').at(-1) ?? instance);
}

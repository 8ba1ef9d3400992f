import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';

/**
 * Ends `child` and removes `folder` when this process is gone, however it went: after a signal no exit handler
 * runs. A shell in a session of its own waits for the end of a pipe, which closes with this process.
 */
export function endWithMe(child: ChildProcess, folder: string): void {
  if (child.pid === undefined) return;
  if (process.platform === 'win32') {
    process.once('exit', () => child.kill());
    return;
  }
  const guard = spawn('sh', ['-c', 'cat; kill -9 "$0"; rm -rf "$1"', String(child.pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Where there is no shell, nobody guards; the child is still stopped by whoever started it.
  guard.on('error', () => undefined);
  guard.unref();
  if (guard.stdin instanceof Socket) guard.stdin.unref();
  // Its number may soon be another process's.
  child.once('exit', () => guard.kill('SIGKILL'));
}

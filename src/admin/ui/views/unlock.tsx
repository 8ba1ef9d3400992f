import { unlock } from '../live/access.ts';
import { Empty } from '../parts/bits.tsx';

/** The admin plane asks for its token. */
export function Unlock() {
  return (
    <>
      <h1>Locked</h1>
      <Empty title="This router asks for its admin token">
        <p>
          It is the value of <code>MCP_ROUTER_ADMIN_TOKEN</code>. It is kept in this tab, until the tab is
          closed.
        </p>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            const token = new FormData(event.currentTarget).get('token');
            if (typeof token === 'string' && token !== '') unlock(token);
          }}
        >
          <label>
            Admin token <input type="password" name="token" autocomplete="off" required />
          </label>{' '}
          <button type="submit" class="primary">
            Unlock
          </button>
        </form>
      </Empty>
    </>
  );
}

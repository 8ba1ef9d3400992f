import { render } from 'preact';
import { App } from './app.tsx';
import { connect } from './live/connection.ts';
import { applyTheme } from './parts/theme.tsx';

applyTheme();
const root = document.querySelector('#app');
if (root) render(<App />, root);
void connect();

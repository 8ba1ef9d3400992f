import { signal } from '@preact/signals';

const KEY = 'mcp-router-theme';
const themes = ['auto', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];

const theme = signal<Theme>(themes.find((one) => one === localStorage.getItem(KEY)) ?? 'auto');

export function applyTheme(): void {
  document.documentElement.dataset['theme'] = theme.value;
}

/** Light, dark, or as the system has it. */
export function ThemeChoice() {
  return (
    <label class="theme">
      <span class="quiet">Theme</span>
      <select
        value={theme.value}
        onChange={(event) => {
          theme.value = themes.find((one) => one === event.currentTarget.value) ?? 'auto';
          localStorage.setItem(KEY, theme.value);
          applyTheme();
        }}
      >
        {themes.map((one) => (
          <option key={one}>{one}</option>
        ))}
      </select>
    </label>
  );
}

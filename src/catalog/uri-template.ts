/**
 * Whether a URI can have come from a template (RFC 6570). Only asked for finding the owner of a URI, so it is
 * generous: what a variable may hold is not looked at closer than the operator says.
 */
export function uriTemplateMatcher(template: string): (uri: string) => boolean {
  let source = '';
  let from = 0;
  for (const part of template.matchAll(/\{([^{}]*)\}/g)) {
    source += escape(template.slice(from, part.index)) + expression(part[1] ?? '');
    from = part.index + part[0].length;
  }
  source += escape(template.slice(from));
  const pattern = new RegExp(`^${source}$`, 'su');
  // A pattern is tried against what a client sends; nobody needs a URI of a hundred kilobytes.
  return (uri) => uri.length <= MAX_URI && pattern.test(uri);
}

const MAX_URI = 8192;

function escape(literal: string): string {
  return literal.replaceAll(/[\\^$.|+()[\]{}*?]/g, String.raw`\$&`);
}

/** Each class of characters excludes what ends it, so no two parts of a pattern can match the same text. */
function expression(inner: string): string {
  const operator = /^[+#./;?&]/.exec(inner)?.[0] ?? '';
  switch (operator) {
    case '+':
      return '.+';
    case '#':
      return '(?:#.*)?';
    case '?':
      return String.raw`(?:\?[^#]*)?`;
    case '&':
      return '(?:&[^#]*)?';
    case '/':
      return '(?:/[^?#]*)?';
    case '.':
      return String.raw`(?:\.[^/?#]*)?`;
    case ';':
      return '(?:;[^/?#]*)?';
    default:
      return '[^/?#]+';
  }
}

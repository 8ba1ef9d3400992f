import { useId } from 'preact/hooks';
import { WITHIN, type Field, type Property } from './schema.ts';

interface FieldsProps {
  readonly properties: readonly Property[];
  readonly texts: ReadonlyMap<string, string>;
  readonly wrong: { readonly path: string; readonly message: string } | undefined;
  readonly onChange: (path: string, text: string) => void;
  readonly prefix?: string;
}

/** A field for each argument, as its schema wants it. */
export function Fields({ properties, prefix = '', ...rest }: FieldsProps) {
  return (
    <>
      {properties.map((property) => (
        <One key={property.name} property={property} path={`${prefix}${property.name}`} {...rest} />
      ))}
    </>
  );
}

interface OneProps extends Omit<FieldsProps, 'properties' | 'prefix'> {
  readonly property: Property;
  readonly path: string;
}

function One({ property, path, ...rest }: OneProps) {
  const id = useId();
  const { field, title, about, required } = property;
  if (field.kind === 'object') {
    return (
      <fieldset>
        <legend>{title}</legend>
        <Fields properties={field.properties} prefix={`${path}${WITHIN}`} {...rest} />
      </fieldset>
    );
  }
  const wrong = rest.wrong?.path === path ? rest.wrong.message : undefined;
  return (
    <div class="field">
      <label for={id}>
        {title}
        {required && <span class="quiet"> (needed)</span>}
      </label>
      <Input
        id={id}
        field={field}
        text={rest.texts.get(path) ?? ''}
        required={required}
        describedBy={`${id}-about`}
        wrong={wrong !== undefined}
        onChange={(text) => rest.onChange(path, text)}
      />
      <p id={`${id}-about`} class={wrong === undefined ? 'quiet' : 'why'}>
        {wrong ?? about ?? ''}
      </p>
    </div>
  );
}

interface InputProps {
  readonly id: string;
  readonly field: Exclude<Field, { kind: 'object' }>;
  readonly text: string;
  readonly required: boolean;
  readonly describedBy: string;
  readonly wrong: boolean;
  readonly onChange: (text: string) => void;
}

function Input({ id, field, text, required, describedBy, wrong, onChange }: InputProps) {
  const common = {
    id,
    value: text,
    'aria-describedby': describedBy,
    'aria-required': required,
    'aria-invalid': wrong,
  };
  switch (field.kind) {
    case 'yes-no':
    case 'one-of': {
      const values = field.kind === 'one-of' ? field.values : [true, false];
      return (
        <select {...common} onChange={(event) => onChange(event.currentTarget.value)}>
          <option value="">—</option>
          {values.map((value) => (
            <option key={JSON.stringify(value)} value={JSON.stringify(value)}>
              {typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value)}
            </option>
          ))}
        </select>
      );
    }
    case 'json':
      return (
        <textarea
          {...common}
          class="code"
          rows={3}
          placeholder="JSON"
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      );
    case 'text':
      return field.long ? (
        <textarea {...common} rows={3} onInput={(event) => onChange(event.currentTarget.value)} />
      ) : (
        <input {...common} type="text" onInput={(event) => onChange(event.currentTarget.value)} />
      );
    case 'number':
      return (
        <input
          {...common}
          type="number"
          step={field.whole ? 1 : 'any'}
          {...(field.min !== undefined && { min: field.min })}
          {...(field.max !== undefined && { max: field.max })}
          onInput={(event) => onChange(event.currentTarget.value)}
        />
      );
  }
}

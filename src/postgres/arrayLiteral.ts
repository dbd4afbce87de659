/** A value of an array literal; nested arrays are arrays of more dimensions. */
export type ArrayElement = string | null | readonly ArrayElement[]

/** Postgres's own text form of an array: `{"a","b\"c",NULL}`. Every value is quoted, so nothing in it can be taken for syntax. */
export function textArray(elements: readonly ArrayElement[]): string {
  let text = '{'
  for (let index = 0; index < elements.length; index += 1) {
    if (index > 0) text += ','
    text += elementText(elements[index])
  }
  return `${text}}`
}

const needsEscape = /["\\]/
const escaped = /["\\]/g

function elementText(element: ArrayElement | undefined): string {
  if (element === null || element === undefined) return 'NULL'
  if (typeof element !== 'string') return textArray(element)
  return `"${needsEscape.test(element) ? element.replace(escaped, '\\$&') : element}"`
}

// A field for a parameter, built from its JSON schema.
import { button, h } from "./dom.js";

const variants = (schema) => schema.anyOf || schema.oneOf || [schema];
const isNull = (schema) => schema.type === "null";
const choicesOf = (schema) =>
  variants(schema).flatMap((v) => v.enum || (v.const !== undefined ? [v.const] : []));
const numbersOf = (schema) =>
  variants(schema).filter((v) => v.type === "number" || v.type === "integer");
const pairOf = (schema) => variants(schema).find((v) => v.type === "array");

/** Return the limits of a number as text: "from 1 to 10". */
export function limitsText(schema) {
  const [number] = numbersOf(schema);
  if (!number) return "";
  const limits = [
    ["from", number.minimum],
    ["above", number.exclusiveMinimum],
    ["to", number.maximum],
    ["below", number.exclusiveMaximum],
  ];
  const given = limits.filter(([, value]) => value !== undefined);
  return given.map((parts) => parts.join(" ")).join(" ");
}

/** Return the value that a text means: a choice, a number, a pair, or null. */
export function parseValue(schema, text) {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "none") return null;
  if (choicesOf(schema).includes(trimmed)) return trimmed;
  const parts = trimmed.split(",").map((part) => Number(part));
  if (parts.some(Number.isNaN)) return trimmed; // the server answers with a message
  if (parts.length > 1) return parts;
  return pairOf(schema) ? [parts[0], parts[0]] : parts[0];
}

export function showValue(value) {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** Return meaning, limits and choices of a parameter as one text. */
function describe(schema) {
  const limits = limitsText(schema);
  const meaning = (schema.description || "").replace(/\.$/, "");
  const choices = numbersOf(schema).length ? choicesOf(schema) : [];
  const also = choices.length ? ` Also: ${choices.join(", ")}.` : "";
  return `${meaning}${limits ? ` (${limits})` : ""}.${also}`;
}

/** Make the input of a parameter: a box to tick, a list, or a text with suggestions. */
function createInput(id, schema, change) {
  const choices = choicesOf(schema);
  const isOptional = variants(schema).some(isNull);
  if (schema.type === "boolean") {
    const box = h("input", { type: "checkbox", id, onchange: () => change(box.checked) });
    return [box];
  }
  const options = choices.map((value) => h("option", { value }, String(value)));
  if (choices.length && !numbersOf(schema).length) {
    const none = isOptional ? h("option", { value: "" }, "none") : null;
    const onchange = () => change(list.value === "" ? null : list.value);
    const list = h("select", { id, onchange }, none, options);
    return [list];
  }
  const text = h("input", {
    type: "text",
    id,
    inputMode: "decimal",
    placeholder: isOptional ? "none" : "",
    onchange: () => change(parseValue(schema, text.value)),
  });
  if (!choices.length) return [text];
  text.setAttribute("list", `${id}-choices`);
  return [text, h("datalist", { id: `${id}-choices` }, options)];
}

/** Make a field: `{element, show(value, isChanged)}`; the user's input calls `change(value)`. */
export function createField(name, schema, change) {
  const id = `field-${name.replaceAll(".", "-")}`;
  const text = describe(schema);
  const [input, suggestions] = createInput(id, schema, change);
  const meaning = h("div.meaning", { hidden: true }, text);
  const more = button("?", () => (meaning.hidden = !meaning.hidden), {
    kind: "bare",
    type: "button",
    title: text,
    "aria-label": `Meaning of ${name}`,
  });
  const unit = schema.unit || "";
  const element = h(
    unit ? "div.field" : "div.field.wide",
    {},
    h("label", { htmlFor: id, title: text }, name.split(".").pop()),
    input,
    h("span.unit", { title: unit }, h("span", {}, unit), more),
    meaning,
    suggestions,
  );
  return {
    element,
    show(value, isChanged) {
      if (input.type === "checkbox") input.checked = Boolean(value);
      else input.value = showValue(value);
      element.classList.toggle("changed", isChanged);
    },
  };
}

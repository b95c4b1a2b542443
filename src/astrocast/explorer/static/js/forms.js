// A field for a parameter, from its JSON schema: nothing is typed twice.
import { h } from "./dom.js";

const variants = (schema) => schema.anyOf || schema.oneOf || [schema];
const isNull = (schema) => schema.type === "null";
const choicesOf = (schema) =>
  variants(schema).flatMap((v) => v.enum || (v.const !== undefined ? [v.const] : []));
const numbersOf = (schema) =>
  variants(schema).filter((v) => v.type === "number" || v.type === "integer");
const pairOf = (schema) => variants(schema).find((v) => v.type === "array");

/** The limits of a number, for a reader. */
export function limitsText(schema) {
  const [number] = numbersOf(schema);
  if (!number) return "";
  const low =
    number.minimum !== undefined
      ? `from ${number.minimum}`
      : number.exclusiveMinimum !== undefined
        ? `above ${number.exclusiveMinimum}`
        : "";
  const high =
    number.maximum !== undefined
      ? `to ${number.maximum}`
      : number.exclusiveMaximum !== undefined
        ? `below ${number.exclusiveMaximum}`
        : "";
  return [low, high].filter(Boolean).join(" ");
}

/** What a text stands for: a choice, a number, a pair, or nothing. */
export function parseValue(schema, text) {
  const trimmed = text.trim();
  if (trimmed === "" || trimmed === "none") return null;
  if (choicesOf(schema).includes(trimmed)) return trimmed;
  const parts = trimmed.split(",").map((part) => Number(part));
  if (parts.some(Number.isNaN)) return trimmed; // the server says what is wrong
  return parts.length > 1 ? parts : pairOf(schema) ? [parts[0], parts[0]] : parts[0];
}

export function showValue(value) {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** A field: `{element, show(value, changed)}`; `change(value)` is called by the user. */
export function createField(name, schema, change) {
  const choices = choicesOf(schema);
  const id = `field-${name.replaceAll(".", "-")}`;
  const optional = variants(schema).some(isNull);
  let input;
  if (schema.type === "boolean") {
    input = h("input", { type: "checkbox", id, onchange: () => change(input.checked) });
  } else if (choices.length && !numbersOf(schema).length) {
    input = h(
      "select",
      { id, onchange: () => change(input.value === "" ? null : input.value) },
      optional ? h("option", { value: "" }, "none") : null,
      choices.map((value) => h("option", { value }, String(value))),
    );
  } else {
    const list = choices.length
      ? h(
          "datalist",
          { id: `${id}-choices` },
          choices.map((value) => h("option", { value })),
        )
      : null;
    input = h("input", {
      type: "text",
      id,
      inputMode: "decimal",
      placeholder: optional ? "none" : "",
      onchange: () => change(parseValue(schema, input.value)),
    });
    if (list) {
      input.setAttribute("list", list.id);
      input.after(list);
    }
  }
  const limits = limitsText(schema);
  const meaning = h(
    "div.meaning",
    { hidden: true },
    `${schema.description || ""}${limits ? ` (${limits})` : ""}.`,
    choices.length && numbersOf(schema).length ? ` Also: ${choices.join(", ")}.` : "",
  );
  const more = h(
    "button.bare",
    {
      type: "button",
      title: schema.description,
      "aria-label": `What ${name} means`,
      onclick: () => {
        meaning.hidden = !meaning.hidden;
      },
    },
    "?",
  );
  const element = h(
    schema.unit ? "div.field" : "div.field.wide",
    {},
    h(
      "label",
      { htmlFor: id, title: `${schema.description || ""}${limits ? ` (${limits})` : ""}` },
      name.split(".").pop(),
    ),
    input,
    h("span.unit", { title: schema.unit || "" }, h("span", {}, schema.unit || ""), more),
    meaning,
  );
  return {
    element,
    show(value, changed) {
      if (input.type === "checkbox") input.checked = Boolean(value);
      else input.value = showValue(value);
      element.classList.toggle("changed", changed);
    },
  };
}

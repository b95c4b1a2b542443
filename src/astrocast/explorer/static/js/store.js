// One place for what the page shows; parts listen to the names they depend on.

/** A store: `get()` the values, `set({name: value})`, `on([names], callback)`. */
export function createStore(initial) {
  const values = { ...initial };
  const listeners = [];
  let pending = null;

  function notify() {
    const changed = pending;
    pending = null;
    for (const { names, callback } of listeners) {
      if (names.some((name) => changed.has(name))) callback(values);
    }
  }

  return {
    get: () => values,
    set(patch) {
      for (const [name, value] of Object.entries(patch)) {
        if (values[name] === value) continue;
        values[name] = value;
        if (pending === null) {
          pending = new Set();
          queueMicrotask(notify);
        }
        pending.add(name);
      }
    },
    on(names, callback) {
      listeners.push({ names, callback });
    },
  };
}

/** Remember some values between visits, under a key for each recording. */
export function remember(store, key, names) {
  try {
    const kept = JSON.parse(localStorage.getItem(key) || "{}");
    store.set(Object.fromEntries(names.filter((n) => n in kept).map((n) => [n, kept[n]])));
  } catch {
    localStorage.removeItem(key);
  }
  store.on(names, (values) => {
    localStorage.setItem(key, JSON.stringify(Object.fromEntries(names.map((n) => [n, values[n]]))));
  });
}

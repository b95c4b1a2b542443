// State of the page in one place; each part listens to the values that it shows.

/** Make a store: `get()` the values, `set({name: value})`, `on([names], callback)`. */
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

/** Store some values in the browser until the next visit, under a key for each recording. */
export function remember(store, key, names) {
  try {
    const stored = JSON.parse(localStorage.getItem(key) || "{}");
    store.set(Object.fromEntries(names.filter((n) => n in stored).map((n) => [n, stored[n]])));
  } catch {
    localStorage.removeItem(key);
  }
  store.on(names, (values) => {
    const wanted = Object.fromEntries(names.map((name) => [name, values[name]]));
    try {
      localStorage.setItem(key, JSON.stringify(wanted));
    } catch {
      // the storage of the browser is full or forbidden: the next visit starts anew
    }
  });
}

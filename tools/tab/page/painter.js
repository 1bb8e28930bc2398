// The worker of the page, and what it says. When it fails it is ended, and another one takes its place.

/** `on` has a function for each kind of news; see worker.js. The pictures are kept, so that a new worker gets them again. */
export function painter(on) {
  const kept = {};
  let worker;
  let waiting = [];

  function start() {
    const own = new Worker("worker.js", { type: "module" });
    const hear = (news) => {
      // What an ended worker had still to say is of no interest.
      if (own === worker) on[news.kind]?.(news);
    };
    worker = own;
    own.onmessage = ({ data }) => hear(data);
    own.onerror = (event) => {
      event.preventDefault();
      hear({ kind: "failed", text: "the painter could not be loaded; check the connection and reload the page" });
    };
  }

  const send = (command, handed = []) => worker.postMessage(command, handed);

  async function look(which, file) {
    kept[which] = file;
    const bytes = new Uint8Array(await file.arrayBuffer());
    send({ kind: "look", which, name: file.name, bytes }, [bytes.buffer]);
  }

  start();
  return {
    send,
    look,
    /** Which file a picture was read from. */
    name: (which) => kept[which]?.name,
    restart() {
      worker.terminate();
      start();
      for (const which of Object.keys(kept)) look(which, kept[which]);
    },
  };
}

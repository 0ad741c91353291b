import { withFolder } from "./with_folder.ts";

/** A datagram socket as systemd's own, and every word that came to it. */
export async function withSystemd(
  work: (systemd: { readonly path: string; readonly words: readonly string[] }) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const path = `${folder}/notify`;
    const socket = Deno.listenDatagram({ transport: "unixpacket", path });
    const words: string[] = [];
    const hearing = (async () => {
      for await (const [bytes] of socket) words.push(new TextDecoder().decode(bytes));
    })();
    try {
      await work({ path, words });
    } finally {
      socket.close();
      await hearing;
    }
  });
}

/** Each case is put to each kit, in each form in which it is run. */

import { withFolder } from "../support/with_folder.ts";
import { COMMAND_CASES } from "./command_cases.ts";
import { canRun, Kit, KIT_FORMS } from "./kit.ts";
import { READING_CASES } from "./reading_cases.ts";
import { RECEIPT_CASES } from "./receipt_cases.ts";

for (const form of KIT_FORMS) {
  const ignore = !await canRun(form.needs);
  Deno.test(`the kit in ${form.name} does what the contract says`, { ignore }, async (t) => {
    await withFolder(async (folder) => {
      const command = await form.build(folder);
      for (const [claim, check] of [...READING_CASES, ...RECEIPT_CASES, ...COMMAND_CASES]) {
        await t.step(claim, async () => {
          const kit = new Kit(command, !form.hasLooseJson);
          await check(kit).finally(() => kit.end());
        });
      }
    });
  });
}

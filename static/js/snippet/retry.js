// Posts that the relay did not take come again, with growing pauses, while the page lives.

const FIRST_MS = 3000;
const MAX_DOUBLINGS = 4; // 48 s

/** @param {Pick<import('./types.js').Core, 'gate' | 'resume'>} core */
export const retry = ({ gate, resume }) => {
  let failures = 0;
  let isWaiting = false;
  const again = () => {
    isWaiting = false;
    resume();
  };
  gate.failed = () => {
    if (isWaiting) return;
    isWaiting = true;
    // Not all visitors at the same moment, when the relay is back.
    setTimeout(again, FIRST_MS * 2 ** Math.min(failures++, MAX_DOUBLINGS) * (0.5 + Math.random()));
  };
  const { heard } = gate;
  gate.heard = async (...answered) => {
    failures = 0;
    return heard?.(...answered);
  };
  resume(); // what failed before we came
};

// A codec of one's own, for a scale that sends a frame of five bytes: 0xA5, grams as 24 bits (high byte first), and the sum of
// these four bytes. Configured with
//
//   serial:
//     path: /dev/ttyUSB0
//     custom: ./my-codec.js
//     options: { tare: 120 }
//
// docs/codecs.md says what the gateway expects of it.

const START = 0xa5
const LENGTH = 5

export default function scale(options, events) {
  const tare = options.tare ?? 0
  // Bytes of a frame whose end has not come. Never more than a frame.
  let held = Buffer.alloc(0)

  return {
    push(chunk) {
      let bytes = Buffer.concat([held, chunk])
      while (bytes.length >= LENGTH) {
        const sum = (bytes[0] + bytes[1] + bytes[2] + bytes[3]) & 0xff
        if (bytes[0] === START && bytes[4] === sum) {
          events.reading({ value: { weight: bytes.readUIntBE(1, 3) - tare } })
          bytes = bytes.subarray(LENGTH)
        } else {
          // Noise, or a damaged frame: the next one may begin at any byte behind it.
          if (bytes[0] === START) events.fault('a frame with a wrong sum was dropped')
          bytes = bytes.subarray(1)
        }
      }
      held = Buffer.from(bytes)
    },

    values: { weight: { unit: 'g', deviceClass: 'weight', stateClass: 'measurement' } },

    // What comes on …/set, as the bytes to send.
    encode(command) {
      if (command !== 'zero') throw new Error("the scale takes the command 'zero'")
      return Buffer.of(START, 0x5a)
    },
  }
}

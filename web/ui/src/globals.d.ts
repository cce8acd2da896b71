// What tests and curious users find in the console.

interface Window {
  onair: {
    /** The peer connection in use, for `getStats()`. */
    pc: RTCPeerConnection | null;
    /** The hls.js instance in use. */
    hls: object | null;
  };
}

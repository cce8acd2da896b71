"""One exchange out of two offers: a WHEP client offers, and so does Janus' videoroom to its subscribers.

Each side gets an answer that carries the other side's transport (ICE, DTLS) and what both can do. Nothing here does
input or output.
"""

import re

# Who begins the DTLS handshake, by what the client offers (RFC 8842 §5.3): its own role in the end, then Janus'. Given
# the choice, Janus: str0m was connected 0.03 s after its POST then, and 0.9 s after it when str0m began.
DTLS_ROLES = {"actpass": ("passive", "active"), "active": ("active", "passive"), "passive": ("passive", "active")}

# Candidates of these the machine of a benchmark does not reach: mDNS names, and TCP.
USELESS_CANDIDATE = re.compile(r"\.local | tcp ", re.IGNORECASE)


class Unacceptable(Exception):
    """A description that cannot be used: 400 when it is none, 406 when it asks for something else."""

    def __init__(self, status, why):
        super().__init__(why)
        self.status = status


class Description:
    """A session description (RFC 8866), as far as two offers have to be matched.

    Raises `Unacceptable` when it is none or lacks what WebRTC needs.
    """

    def __init__(self, text):
        lines = text.replace("\r\n", "\n").strip().split("\n")
        fields = {line[:2] for line in lines}
        if lines[0] != "v=0" or not {"o=", "s="} <= fields or not all(re.match("[a-z]=", line) for line in lines):
            raise Unacceptable(400, "this is no SDP")
        starts = [at for at, line in enumerate(lines) if line.startswith("m=")] + [len(lines)]
        self.session = lines[: starts[0]]
        self.media = [Media(lines[at:end]) for at, end in zip(starts, starts[1:])]
        if not self.media:
            raise Unacceptable(400, "the offer has no media")
        bundled = (attribute(self.session, "group:BUNDLE") or "").split()
        if len(self.media) > 1 and {media.mid for media in self.media} - set(bundled):
            raise Unacceptable(406, "all media must be in one BUNDLE group")
        every = [line for media in self.media for line in media.lines]
        # The first m-line that has them counts: all are in one BUNDLE.
        self.ufrag, self.pwd = (self.needed(every, name) for name in ("ice-ufrag", "ice-pwd"))
        self.fingerprint, self.setup = (self.needed(every, name) for name in ("fingerprint", "setup"))
        if self.setup not in DTLS_ROLES:
            raise Unacceptable(406, f"a=setup:{self.setup} cannot be met")
        candidates = [line for line in every if line.startswith("a=candidate:")]
        self.candidates = list(dict.fromkeys(line for line in candidates if not USELESS_CANDIDATE.search(line)))

    def needed(self, lines, name):
        """Returns an attribute of the session or of its media."""
        value = attribute(self.session, name) or attribute(lines, name)
        if not value:
            raise Unacceptable(400, f"the offer has no a={name}")
        return value

    def transport(self, setup):
        """Returns the lines that tell the other side how to reach this one: with BUNDLE the same in all media."""
        security = [f"a=fingerprint:{self.fingerprint}", f"a=setup:{setup}"]
        ice = [f"a=ice-ufrag:{self.ufrag}", f"a=ice-pwd:{self.pwd}", *self.candidates, "a=end-of-candidates"]
        return security + ice


class Media:
    """An m-line with its attributes."""

    def __init__(self, lines):
        self.lines = lines
        first = lines[0][2:].split()
        if len(first) < 4:
            raise Unacceptable(400, f"{lines[0]}: an m-line has four fields")
        self.kind, self.port, self.proto, self.pts = first[0], first[1], first[2], first[3:]
        self.mid = attribute(lines, "mid") or ""
        # By payload type: the codec in lower case without its clock, and the fmtp.
        self.codecs = {pt: rest.split("/")[0].lower() for pt, rest in self.split("rtpmap")}
        self.rtpmaps, self.fmtps = dict(self.split("rtpmap")), dict(self.split("fmtp"))
        # By URI; a direction may follow the id.
        self.extensions = {rest.split()[0]: id.split("/")[0] for id, rest in self.split("extmap")}

    def split(self, name):
        """Returns the attributes of a name, each cut at its first space."""
        values = (line[len(name) + 3 :] for line in self.lines if line.startswith(f"a={name}:"))
        return [tuple(value.split(" ", 1)) for value in values if " " in value]

    def feedback(self, pt):
        """Returns the RTCP feedback of a payload type."""
        return {rest for of, rest in self.split("rtcp-fb") if of in (pt, "*")}

    def rtx(self, pt):
        """Returns the payload type of retransmissions (RFC 4588), or nothing."""
        of = {parameter(fmtp, "apt"): rtx for rtx, fmtp in self.fmtps.items() if self.codecs.get(rtx) == "rtx"}
        return of.get(pt)

    def alike(self, codec, fmtp):
        """Returns the payload type of the format that is most like another one, or nothing."""
        same = [pt for pt in self.pts if self.codecs.get(pt) == codec]
        if codec != "h264":
            return same[0] if same else None
        # Janus repacks nothing, and what publishers send is mode 1.
        same = [pt for pt in same if parameter(self.fmtps.get(pt, ""), "packetization-mode") == "1"]
        profile = parameter(fmtp, "profile-level-id")
        profiles = {pt: parameter(self.fmtps[pt], "profile-level-id") for pt in same}
        return max(same, key=lambda pt: likeness(profile, profiles[pt]), default=None)


def is_accepted(answer):
    """Returns whether an answer takes all media that were offered."""
    lines = answer.replace("\r\n", "\n").split("\n")
    return "a=inactive" not in lines and not any(re.match(r"m=\w+ 0 ", line) for line in lines)


def answers(client, janus):
    """Returns an answer for the client and one for Janus, out of what they offered. Raises `Unacceptable`."""
    pairs = paired(client, janus)
    here_of = {id(there): here for there, here in pairs}
    there_of = {id(here): there for there, here in pairs}
    client_role, janus_role = DTLS_ROLES[client.setup]
    for_client = head(here for here in client.media if id(here) in there_of)
    if "a=ice-lite" in janus.session:
        for_client.append("a=ice-lite")
    for here in client.media:
        there = there_of.get(id(here))
        for_client += sent(here, there, janus.transport(janus_role)) if there else rejected(here)
    for_janus = head(here for _, here in pairs)
    for there in janus.media:
        here = here_of.get(id(there))
        for_janus += received(there, here, client.transport(client_role)) if here else rejected(there)
    return joined(for_client), joined(for_janus)


def sent(here, there, transport):
    """Returns the m-line by which the client is told what Janus sends."""
    formats = common(there, here)
    ssrcs = [line for line in there.lines if line.startswith(("a=ssrc", "a=msid:"))]
    if not formats.rtx:
        ssrcs = without_rtx(ssrcs)
    return [*first_lines(here, here.mid, formats), "a=sendonly", *transport, *formats.lines, *ssrcs]


def received(there, here, transport):
    """Returns the m-line by which Janus is told what the client takes.

    Janus takes the name over into its header extension, where the client looks for its own.
    """
    formats = common(there, here)
    return [*first_lines(there, here.mid, formats), "a=recvonly", *transport, *formats.lines]


def first_lines(media, mid, formats):
    """Returns how an accepted m-line begins."""
    return [f"m={media.kind} 9 {media.proto} {' '.join(formats.pts)}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", "a=rtcp-mux"]


class Formats:
    """What both can do with one m-line."""

    def __init__(self, pts, rtx, lines):
        self.pts, self.rtx, self.lines = pts, rtx, lines


def common(janus, client):
    """Returns the formats of a pair of m-lines, with Janus' payload types and extension ids.

    Janus sends with those of its own offer, whatever is answered: 107 for H.264, 111 for Opus, 1 to 4 for extensions.
    So the client must be told these. That the payload types are those of the client's offer is a SHOULD (RFC 3264
    §6.1), that the extension ids are is a MUST (RFC 8285 §6); str0m and aiortc follow the answer.
    """
    pt = janus.pts[0]
    theirs = client.alike(janus.codecs.get(pt), janus.fmtps.get(pt, ""))
    rtx = janus.rtx(pt) if client.rtx(theirs) else None
    lines = [f"a=rtpmap:{pt} {janus.rtpmaps[pt]}"]
    # The client's own: its profile and mode must come back to it (RFC 6184 §8.2.2).
    if theirs in client.fmtps:
        lines.append(f"a=fmtp:{pt} {client.fmtps[theirs]}")
    lines += [f"a=rtcp-fb:{pt} {feedback}" for feedback in sorted(janus.feedback(pt) & client.feedback(theirs))]
    if rtx:
        lines += [f"a=rtpmap:{rtx} {janus.rtpmaps[rtx]}", f"a=fmtp:{rtx} apt={pt}"]
    lines += [f"a=extmap:{id} {uri}" for uri, id in janus.extensions.items() if uri in client.extensions]
    return Formats([pt, rtx] if rtx else [pt], rtx, lines)


def paired(client, janus):
    """Returns which m-line of Janus goes to which of the client: the first of its kind that is free and receives."""
    pairs, free = [], [media for media in client.media if not {"a=sendonly", "a=inactive"} & set(media.lines)]
    for media in janus.media:
        pt = media.pts[0]
        fitting = [here for here in free if here.kind == media.kind]
        if not fitting or "a=inactive" in media.lines:
            continue
        if fitting[0].alike(media.codecs.get(pt), media.fmtps.get(pt, "")) is None:
            raise Unacceptable(406, f"the broadcast is {media.rtpmaps.get(pt)}, which the offer has not")
        free.remove(fitting[0])
        pairs.append((media, fitting[0]))
    if not pairs:
        raise Unacceptable(406, "the offer wants no media that the broadcast has")
    return pairs


def head(media):
    """Returns the lines above the first m-line."""
    group = " ".join(each.mid for each in media)
    return ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", f"a=group:BUNDLE {group}", "a=msid-semantic:WMS *"]


def rejected(media):
    """Returns an m-line that says no (RFC 3264 §6)."""
    first = f"m={media.kind} 0 {media.proto} {' '.join(media.pts)}"
    return [first, "c=IN IP4 0.0.0.0", f"a=mid:{media.mid}", "a=inactive"]


def without_rtx(lines):
    """Leaves out the streams of retransmissions."""
    repairs = {group.split()[2] for group in lines if group.startswith("a=ssrc-group:FID ")}
    kept = (line for line in lines if not line.startswith("a=ssrc-group:"))
    return [line for line in kept if not any(line.startswith(f"a=ssrc:{ssrc} ") for ssrc in repairs)]


def attribute(lines, name):
    """Returns the value of the first attribute of that name, or nothing."""
    start = f"a={name}" + (" " if name.startswith("group:") else ":")
    return next((line[len(start) :].strip() for line in lines if line.startswith(start)), None)


def parameter(fmtp, name):
    """Returns a parameter of a format, in lower case, or nothing."""
    pairs = (part.strip().lower().partition("=") for part in fmtp.split(";"))
    return next((value for key, _, value in pairs if key == name), None)


def likeness(one, other):
    """Returns how alike two values of profile-level-id are: all, but for the level, by the profile alone, not."""
    return sum(one is not None and other is not None and one[:n] == other[:n] for n in (2, 4, 6))


def joined(lines):
    """Returns the text, each line with its end."""
    return "".join(f"{line}\r\n" for line in lines)

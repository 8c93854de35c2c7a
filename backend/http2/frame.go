package http2

import "encoding/binary"

// frameType is the type of a frame (RFC 9113, Section 6).
type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameRSTStream
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
	frameUnknown // this and all higher ones are ignored
)

const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// The settings of RFC 9113, Section 6.5.2, RFC 8441 and RFC 9218.
const (
	settingHeaderTableSize      = 0x1
	settingEnablePush           = 0x2
	settingMaxConcurrentStreams = 0x3
	settingInitialWindowSize    = 0x4
	settingMaxFrameSize         = 0x5
	settingMaxHeaderListSize    = 0x6
	settingEnableConnect        = 0x8
	settingNoPriorities         = 0x9
)

const (
	frameHeaderLen = 9
	maxFrameLen    = 16384 // which every peer accepts; more is neither asked for nor used
	maxStreamID    = 1<<31 - 1
	maxWindow      = 1<<31 - 1
	defaultWindow  = 65535
	hpackTableLen  = 4096
)

// frameHeader is the nine bytes before each payload.
type frameHeader struct {
	len   int
	typ   frameType
	flags uint8
	id    uint32 // of the stream
}

func (h *frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

// parseFrameHeader reads the first nine bytes of p.
func parseFrameHeader(p []byte) frameHeader {
	return frameHeader{
		len:   int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		typ:   min(frameType(p[3]), frameUnknown),
		flags: p[4],
		id:    binary.BigEndian.Uint32(p[5:]) & maxStreamID,
	}
}

func appendFrameHeader(dst []byte, n int, typ frameType, flags uint8, id uint32) []byte {
	return append(dst, byte(n>>16), byte(n>>8), byte(n), byte(typ), flags, byte(id>>24),
		byte(id>>16), byte(id>>8), byte(id))
}

func appendSetting(dst []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, id), value)
}

func appendRSTStream(dst []byte, id uint32, code Code) []byte {
	dst = appendFrameHeader(dst, 4, frameRSTStream, 0, id)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendWindowUpdate(dst []byte, id, increment uint32) []byte {
	dst = appendFrameHeader(dst, 4, frameWindowUpdate, 0, id)
	return binary.BigEndian.AppendUint32(dst, increment)
}

func appendGoAway(dst []byte, last uint32, code Code) []byte {
	dst = appendFrameHeader(dst, 8, frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	return binary.BigEndian.AppendUint32(dst, uint32(code))
}

func appendPing(dst []byte, flags uint8, data []byte) []byte {
	return append(appendFrameHeader(dst, 8, framePing, flags, 0), data[:8]...)
}

// appendBlock splits a header block into frames.
func appendBlock(dst []byte, id uint32, block []byte, end bool) []byte {
	typ, flags := frameHeaders, uint8(0)
	if end {
		flags = flagEndStream
	}
	for len(block) > maxFrameLen {
		dst = appendFrameHeader(dst, maxFrameLen, typ, flags, id)
		dst = append(dst, block[:maxFrameLen]...)
		block, typ, flags = block[maxFrameLen:], frameContinuation, 0
	}
	dst = appendFrameHeader(dst, len(block), typ, flags|flagEndHeaders, id)
	return append(dst, block...)
}

// unpad removes the padding of a payload (RFC 9113, Section 6.1).
func (h *frameHeader) unpad(p []byte) ([]byte, *fault) {
	if !h.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, errFrameSize
	}
	padding := int(p[0])
	if p = p[1:]; padding > len(p) {
		return nil, errPadding
	}
	return p[:len(p)-padding], nil
}

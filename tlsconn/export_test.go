package tlsconn

import (
	"reflect"
	"unsafe"

	"reprise/tlsconn/wire"
)

// PoisonScratch overwrites what a server of our engine works in between two steps:
// nothing there may be needed by any connection afterwards. It does nothing for
// another engine.
func PoisonScratch(s Server) {
	if own, ok := s.(*server); ok {
		poisonViews(reflect.ValueOf(&own.scratch.hello).Elem())
		own.scratch.chain, own.scratch.out = wire.Chain{}, nil
		for i := range reflect.TypeFor[scratch]().NumField() {
			f := reflect.ValueOf(&own.scratch).Elem().Field(i)
			if name := reflect.TypeFor[scratch]().Field(i).Name; name != "hello" && name != "chain" && name != "out" {
				poison(f)
			}
		}
	}
}

const poisonByte = 0xa5

var poisonBytes = func() []byte {
	b := make([]byte, 64)
	for i := range b {
		b[i] = poisonByte
	}
	return b
}()

// poison overwrites all bytes in v, slices to their capacity.
func poison(v reflect.Value) {
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // also where not exported
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			poison(v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			poison(v.Index(i))
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(poisonByte)
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			v.SetZero()
			return
		}
		own := v.Bytes()
		for i := range own[:cap(own)] {
			own[:cap(own)][i] = poisonByte
		}
	}
}

// poisonViews is poison for a ClientHello, whose slices are views of input, which is
// not scratch: they come to view poison instead.
func poisonViews(v reflect.Value) {
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Uint8 {
			reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().SetBytes(poisonBytes)
		}
	}
}

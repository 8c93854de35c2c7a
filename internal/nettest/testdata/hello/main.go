// Program hello is for TestBuild.
package main

import "fmt"

func main() { fmt.Println("hello") }

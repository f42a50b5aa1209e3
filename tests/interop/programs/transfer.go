// Serves one file, or writes what a URL has to standard output.
package main

import (
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	if os.Args[1] == "serve" {
		file := os.Args[3]
		serve := func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }
		log.Fatal(http.ListenAndServe(os.Args[2], http.HandlerFunc(serve)))
	}
	response, err := http.Get(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	if _, err = io.Copy(os.Stdout, response.Body); err != nil {
		log.Fatal(err)
	}
}

#!/bin/sh
# certificates.sh FOLDER: certificates for specs, valid from now on, and their keys, as NAME.pem and
# NAME.key. ca signs good, expired, elsewhere and client; alone and other sign themselves.
set -e
cd "$1"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

authority() { # NAME SUBJECT [OPTION…]
  name=$1 subject=$2
  shift 2
  key "$name"
  openssl req -new -x509 -days 2 -key "$name.key" -subj "/CN=$subject" -out "$name.pem" "$@"
}

signed() { # NAME DAYS ALTERNATIVE-NAMES
  key "$1"
  openssl req -new -key "$1.key" -subj "/CN=pump $1" -out "$1.csr"
  echo "subjectAltName=$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -set_serial "$(date +%N)" -days "$2" \
    -extfile "$1.ext" -out "$1.pem" 2>/dev/null
}

authority ca "pump specs"
authority other "somebody else"
authority alone localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
signed good 1 DNS:localhost,DNS:*.pump.example,IP:127.0.0.1,IP:::1
signed expired -1 DNS:localhost,IP:127.0.0.1
signed elsewhere 1 DNS:elsewhere.example,IP:10.11.12.13
signed client 1 DNS:client
openssl ec -in good.key -aes128 -passout pass:secret -out locked.key 2>/dev/null

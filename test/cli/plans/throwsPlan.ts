function readRates(): never {
  throw new TypeError('there are no rates for today')
}

export default readRates()

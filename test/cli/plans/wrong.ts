export default [42]

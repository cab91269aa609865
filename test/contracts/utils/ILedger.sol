// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { IMultiverse } from "../../../contracts/interfaces/IMultiverse.sol";

/// @notice The ledger with what it takes from OpenZeppelin's Multicall.
interface ILedger is IMultiverse {
    function multicall(bytes[] calldata data) external returns (bytes[] memory results);
}
